"""The import rule, read from the folders: who may import whom, what the Hub's loader can ship, what is optional."""

import ast
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest
from clean_processes import run_clean
from transformers.dynamic_module_utils import get_imports, get_relative_imports

import ldebm_hf
from ldebm_command import COMMANDS

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "ldebm_hf"

# A folder imports from itself and from the folders of earlier lines, never from its own line's others or a later one.
LAYERS = (
    {"model"},
    {"text"},
    {"files", "data", "pseudo_labels"},
    {"scores", "likelihood"},
    {"metrics", "baselines", "reports"},
    {"training"},
    {"experiments", "web"},
    {"commands"},
)
LAYER_OF = {folder: level for level, folders in enumerate(LAYERS) for folder in folders}
ABOVE_THE_PACKAGE = {"ldebm_command", "examples", "spaces_app", "benchmarks", "tests"}

# The Hub's loader demands that whatever the model imports is installed: keep to what transformers itself needs.
MODEL_MAY_IMPORT = sys.stdlib_module_names | {"torch", "numpy", "transformers", "huggingface_hub"}
MODEL_MAY_IMPORT |= {"tokenizers", "regex", "safetensors"}
MODEL_MAY_TRY_TO_IMPORT = {"peft"}  # in a function and in a `try`, which the loader does not look into
OPTIONAL = {"datasets", "faiss", "evaluate", "gradio", "sklearn", "matplotlib", "pandas", "pyarrow"}
OPTIONAL |= {"sacrebleu", "umap", "peft", "shtab"}
# Nothing else needs these, so they may import optional packages.
IMPORTS_AT_THE_TOP = ("metrics/", "reports/plots.py", "commands/estimator.py", "web/page/")
FAISS_FILE = "pseudo_labels/geometric_clustering.py"


def imports_of(tree: ast.Module, package: str) -> Iterator[tuple[ast.stmt, str]]:
    """Every import statement with each full dotted name it brings in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield from ((node, f"{module}.{alias.name}") for alias in node.names)


def runs_later(tree: ast.Module) -> set[ast.AST]:
    """The nodes inside functions and `if TYPE_CHECKING:` blocks."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    blocks = [
        node
        for node in ast.walk(tree)
        if isinstance(node, kinds) or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    ]
    return {inner for block in blocks for inner in ast.walk(block)}


def broken_rule(path: str, node: ast.stmt, name: str, is_lazy: bool) -> str | None:
    """What is wrong with the file `path` importing `name`; `None` if nothing is."""
    folder = path.partition("/")[0]
    root, _, rest = name.partition(".")
    target = rest.partition(".")[0]
    if root in ABOVE_THE_PACKAGE:
        return f"the package must not import {root}"
    if root == "ldebm_hf":
        if target in LAYER_OF and target != folder and LAYER_OF[target] >= LAYER_OF[folder]:
            return f"{folder}/ must not import {target}/"
        if target not in LAYER_OF and name != "ldebm_hf.__version__":
            return f"{target} is not a folder of the package"
        is_plain = isinstance(node, ast.ImportFrom) and node.level == 1 and node.module
        if folder == "model" and not (is_plain and (node.col_offset == 0 or is_lazy)):
            return "model/ imports its own files only as 'from .name import X', at the start of a line or for types"
    elif folder == "model" and root not in MODEL_MAY_IMPORT | (MODEL_MAY_TRY_TO_IMPORT if is_lazy else set()):
        return f"model/ must not import {root}"
    elif root == "faiss" and path != FAISS_FILE:
        return f"only {FAISS_FILE} imports faiss"
    elif root in OPTIONAL and not path.startswith(IMPORTS_AT_THE_TOP) and not is_lazy:
        return f"{root} is optional: import it inside the function that needs it"
    return None


def broken_rules(path: str, source: str) -> list[str]:
    """Every broken rule of the file `path` inside the package, with its line."""
    if "/" not in path:
        return [] if path == "__init__.py" else [f"{path}: every file but __init__.py belongs to a folder"]
    if path.partition("/")[0] not in LAYER_OF:
        return [f"{path}: its folder has no layer"]
    tree = ast.parse(source)
    lazy = runs_later(tree)
    package = ".".join(["ldebm_hf", *Path(path).parts[:-1]])
    found = ((node, broken_rule(path, node, name, node in lazy)) for node, name in imports_of(tree, package))
    return [f"{path}:{node.lineno}: {wrong}" for node, wrong in found if wrong]


def sources() -> dict[str, str]:
    return {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


def test_package_keeps_the_rules():
    files = sources()
    assert {path.partition("/")[0] for path in files} - {"__init__.py"} == set(LAYER_OF)
    assert [wrong for path, source in files.items() for wrong in broken_rules(path, source)] == []


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("model/energy.py", "from ..text.tokenization import build_tokenizer", "model/ must not import text/"),
        ("model/energy.py", "def f():\n    from ..training.loop import Trainer", "model/ must not import training/"),
        ("model/energy.py", "from . import langevin", "only as 'from .name import X'"),
        ("model/energy.py", "if True:\n    from .langevin import langevin", "only as 'from .name import X'"),
        ("model/energy.py", "import torch, accelerate", "model/ must not import accelerate"),
        ("model/energy.py", "def f():\n    from sklearn import metrics", "model/ must not import sklearn"),
        ("data/files.py", "from ..files.atomic import write_text", "data/ must not import files/"),
        ("training/loop.py", "from ldebm_hf import LDEBMModel", "LDEBMModel is not a folder"),
        ("training/loop.py", "import examples.train", "must not import examples"),
        ("training/loop.py", "def f():\n    import faiss", "only pseudo_labels/geometric_clustering.py imports faiss"),
        ("pseudo_labels/geometric_clustering.py", "import faiss", "faiss is optional"),
        ("data/hub.py", "from datasets import load_dataset", "datasets is optional"),
        ("helpers/misc.py", "import torch", "its folder has no layer"),
        ("misc.py", "import torch", "belongs to a folder"),
    ],
)
def test_each_rule_can_fail(path, source, expected):
    (found,) = broken_rules(path, source)
    assert found.startswith(path) and expected in found


def test_allowed_imports_pass():
    assert broken_rules("model/priors.py", "import math\nimport torch\nfrom .energy import EnergyNetwork") == []
    source = "import accelerate\nfrom ..data import Corpus\nfrom .. import __version__"
    assert broken_rules("training/loop.py", source) == []
    assert broken_rules("data/hub.py", "if TYPE_CHECKING:\n    import datasets") == []
    assert broken_rules("model/prior.py", "if TYPE_CHECKING:\n    from .posteriors import Posterior") == []
    assert broken_rules(FAISS_FILE, "def f():\n    import faiss") == []
    assert broken_rules("metrics/homogeneity.py", "import evaluate") == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "model").glob("*.py")), ids=lambda path: path.stem)
def test_the_hubs_loader_reads_the_model_as_python_does(path):
    """The loader works on the text: a docstring line that looks like an import counts for it."""
    files = {file.stem for file in (PACKAGE / "model").glob("*.py")}
    assert set(get_relative_imports(path)) <= files
    assert set(get_imports(path)) <= MODEL_MAY_IMPORT


HIDE = """
import importlib, sys
from importlib.machinery import PathFinder

class FindsAllBut(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {hidden!r} else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = FindsAllBut
for name in {modules!r}:
    importlib.import_module(name)
print(*sorted({optional!r} & set(sys.modules)))
"""


def optional_packages_loaded_by(paths: list[str], hidden: set[str], home: Path) -> list[str]:
    """Import the files in a fresh process where the packages `hidden` are not installed; OPTIONAL ones then loaded."""
    names = [".".join(["ldebm_hf", *Path(path).with_suffix("").parts]).removesuffix(".__init__") for path in paths]
    script = HIDE.format(hidden=hidden, modules=names, optional=OPTIONAL)
    return run_clean(script, home, fresh=True).split()


def test_the_package_and_its_model_load_no_optional_package(tmp_path):
    # Two are hidden, not looked for: transformers itself loads them wherever they are installed, sklearn in its lower
    # versions.
    model = [path for path in sources() if path == "__init__.py" or path.startswith("model/")]
    assert optional_packages_loaded_by(model, {"accelerate", "sklearn"}, tmp_path) == []


def test_everything_else_imports_without_the_optional_packages(tmp_path):
    paths = [path for path in sources() if not path.startswith(IMPORTS_AT_THE_TOP)]
    assert optional_packages_loaded_by(paths, OPTIONAL, tmp_path) == []


# What takes a tenth of a second and more to import and is not needed before there is a model.
# transformers.modeling_utils, which defines PreTrainedModel, takes longer than torch.
SLOW = {"transformers.modeling_utils", "transformers.pipelines", "torch._dynamo", "torch.distributed.tensor"}
SLOW |= {"accelerate", "scipy"} | OPTIONAL
LOAD_AND_SHOW_HELP = f"""
import contextlib, sys
import ldebm_command
from ldebm_hf import LDEBMConfig, build_tokenizer

print(*sorted({SLOW | {"json"}!r} & set(sys.modules)))
for command in sys.argv[1:]:
    print("COMMAND", command)
    with contextlib.suppress(SystemExit):
        ldebm_command.main(command.split())
    loaded = {SLOW!r} & set(sys.modules)
    assert not loaded, (command, loaded)
"""


def test_the_package_and_help_load_no_slow_module(tmp_path):
    """One process imports the package and shows the help of every command; what loads such a module is named."""
    commands = [*(f"{name} --help" for name in COMMANDS), "train --help-all"]
    loaded, *helps = run_clean(LOAD_AND_SHOW_HELP, tmp_path, *commands, fresh=True).split("COMMAND ")
    assert loaded == "json\n"  # an example of a module that is loaded
    assert [text.partition("\n")[0] for text in helps] == commands
    assert [text for text in helps if "usage: ldebm" not in text and "--config RECIPE" not in text] == []


def test_names_of_the_package():
    of_names = {name: getattr(ldebm_hf, name) for name in ldebm_hf.__all__}
    assert of_names.pop("PRESETS")["consistent"]
    assert [value.__name__ for value in of_names.values()] == list(of_names)
    assert set(ldebm_hf.__all__) <= set(dir(ldebm_hf))
    with pytest.raises(AttributeError, match="module 'ldebm_hf' has no attribute 'LDEBMModels'"):
        _ = ldebm_hf.LDEBMModels
