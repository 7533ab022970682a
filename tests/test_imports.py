"""The import rules: layers point one way, the core is flat and light, optional packages stay optional."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest
from transformers.dynamic_module_utils import get_imports, get_relative_imports

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "ldebm_hf"

# Inner layers first; a module may import from its own layer and from those before it, and never in a circle.
CORE_LAYERS = (
    {"presets", "configuration_ldebm", "noise", "precision", "packing", "recurrent", "codes", "outputs"}
    | {"bag_of_words", "distinctive_words", "templates", "template_search", "completion_texts", "dialogue_turns"}
    | {"consensus"},
    {"diffusion", "energy", "energy_mlp", "langevin", "objective"},
    {"posteriors", "latent_posteriors"},
    {"diffusion_prior", "gaussian_priors", "code_priors", "priors"},
    {"encoders", "decoders", "generation", "rejection", "modalities", "classification", "explanation", "completion"}
    | {"context", "responding", "topic_words"},
    {"modeling_ldebm"},
)
OUTER_LAYER = {
    "atomic",
    "training",
    "data",
    "metrics",
    "clustering",
    "word_counts",
    "latent_semantics",
    "naive_bayes",
    "tokenization",
    "document_tokenization",
    "likelihood",
    "lstm_language_model",
    "lstm_training",
    "ngrams",
    "annealed_importance",
    "diffusion_likelihood",
    "importance_weights",
    "corpus_likelihood",
    "published_likelihood",
    "resumable",
    "model_card",
    "card_texts",
    "run_record",
    "hub_upload",
    "plots",
    "few_label_baselines",
    "few_label_study",
    "generation_study",
    "scores",
    "paper_tables",
    "score_columns",
    "studies",
    "table_report",
    "table_runs",
    "text_classifier",
    "text_table",
    "text_clusters",
    "topics",
    "word_vectors",
    "report",
    "page_templates",
    "hub_licenses",
    "small_copies",
    "latent_map",
    "map_drawing",
    "exploration",
    "exploration_answers",
    "exploration_requests",
    "prior_comparison",
    "writing",
}
LAYER = {unit: level for level, units in enumerate((*CORE_LAYERS, OUTER_LAYER)) for unit in units}
CORE = set().union(*CORE_LAYERS)

# The Hub's loader demands that whatever the core imports is installed: keep to what every user of transformers has.
CORE_MAY_IMPORT = sys.stdlib_module_names | {"torch", "numpy", "transformers", "huggingface_hub"}
OPTIONAL = {"datasets", "faiss", "evaluate", "gradio", "sklearn", "matplotlib", "pandas", "pyarrow"}
OPTIONAL |= {"sacrebleu", "umap"}
BUILT_ON_OPTIONAL = {"metrics", "plots"}  # nothing else needs them, so they may import at the top
ABOVE_THE_PACKAGE = {"examples", "spaces_app", "tests"}


def imported_names(tree: ast.Module, package: str) -> Iterator[tuple[ast.stmt, str]]:
    """Every import statement with each full dotted name it brings in; relative ones are resolved against `package`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield from ((node, f"{module}.{alias.name}") for alias in node.names)


def not_run_at_import(tree: ast.Module) -> set[ast.AST]:
    """The nodes inside functions and `if TYPE_CHECKING:` blocks."""
    blocks = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"))
    ]
    return {inner for block in blocks for inner in ast.walk(block)}


def complaint(unit: str, node: ast.stmt, name: str, lazy: bool) -> str | None:
    """What is wrong with `unit` importing `name` by the statement `node`; None if nothing is."""
    root, _, rest = name.partition(".")
    target = rest.partition(".")[0]
    if root in ABOVE_THE_PACKAGE:
        return f"the package must not import {root}"
    if root == "ldebm_hf":
        if target not in LAYER:
            return f"ldebm_hf.{target} is no module with a layer"
        if LAYER[target] > LAYER[unit]:
            return f"{unit} lies below {target} and must not import it"
        is_plain = isinstance(node, ast.ImportFrom) and node.level and node.module and node.col_offset == 0
        if unit in CORE and not is_plain:
            return "the core imports its siblings only as 'from .sibling import X', at line start"
    elif unit in CORE and root not in CORE_MAY_IMPORT:
        return f"the core must not import {root}"
    elif root == "faiss" and unit != "clustering":
        return "only clustering.py imports faiss"
    elif root in OPTIONAL and unit not in BUILT_ON_OPTIONAL and not lazy:
        return f"{root} is optional: import it inside the function that needs it"
    return None


def violations(files: dict[str, str]) -> list[str]:
    """Check sources, given by their path inside the package, and name every broken rule with its place."""
    found, graph = [], {}
    for path, source in files.items():
        unit = Path(path).parts[0].removesuffix(".py")
        if unit == "__init__":
            continue
        if unit not in LAYER:
            found.append(f"{path}: belongs to no layer; give it one in {Path(__file__).name}")
            continue
        tree = ast.parse(source)
        lazy = not_run_at_import(tree)
        for node, name in imported_names(tree, ".".join(["ldebm_hf", *Path(path).parts[:-1]])):
            if wrong := complaint(unit, node, name, node in lazy):
                found.append(f"{path}:{node.lineno}: {wrong}")
            elif name.startswith("ldebm_hf.") and name.split(".")[1] != unit:
                graph.setdefault(unit, set()).add(name.split(".")[1])
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append("import circle: " + " -> ".join(error.args[1]))
    return found


def test_package_keeps_the_rules():
    files = {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
    assert files, f"no sources in {PACKAGE}"
    assert violations(files) == []


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("energy.py", "from .priors import LDEBMPrior", "energy lies below priors"),
        ("priors.py", "def f():\n    from .modeling_ldebm import LDEBMModel", "priors lies below modeling_ldebm"),
        ("modeling_ldebm.py", "from .training.loop import train", "modeling_ldebm lies below training"),
        ("priors.py", "from . import energy", "only as 'from .sibling import X'"),
        ("priors.py", "from ldebm_hf.energy import EnergyNetwork", "only as 'from .sibling import X'"),
        ("priors.py", "if True:\n    from .energy import EnergyNetwork", "only as 'from .sibling import X'"),
        ("encoders.py", "from .nn.gru import GRU", "ldebm_hf.nn is no module with a layer"),
        ("training/loop.py", "from ldebm_hf import LDEBMModel", "ldebm_hf.LDEBMModel is no module"),
        ("training/loop.py", "import examples.train", "must not import examples"),
        ("langevin.py", "import torch, accelerate", "the core must not import accelerate"),
        ("objective.py", "def f():\n    from sklearn import metrics", "the core must not import sklearn"),
        ("training/loop.py", "def f():\n    import faiss", "only clustering.py imports faiss"),
        ("clustering.py", "import faiss", "faiss is optional"),
        ("data/hub.py", "from datasets import load_dataset", "datasets is optional"),
        ("misc.py", "import torch", "belongs to no layer"),
    ],
)
def test_each_rule_can_fail(path, source, expected):
    (found,) = violations({path: source})
    assert found.startswith(path) and expected in found


def test_circle_is_found():
    (found,) = violations({"data/ptb.py": "from ..plots import bars", "plots.py": "from .data import Corpus"})
    assert found.startswith("import circle: ")


def test_allowed_imports_pass():
    files = {
        "priors.py": "import math\nimport torch\nfrom .energy import EnergyNetwork\nfrom .langevin import langevin",
        "training/loop.py": "import accelerate\nfrom ..data import Corpus\nfrom .settings import Settings",
        "data/hub.py": "if TYPE_CHECKING:\n    import datasets\ndef f():\n    from datasets import load_dataset",
        "clustering.py": "def f():\n    import faiss",
        "metrics/homogeneity.py": "import evaluate\nfrom sklearn.metrics import homogeneity_score",
    }
    assert violations(files) == []


@pytest.mark.parametrize("unit", sorted(unit for unit in CORE if (PACKAGE / f"{unit}.py").exists()))
def test_hub_loader_reads_the_core_as_python_does(unit):
    """The loader for custom code works on the text: a docstring line that looks like an import counts for it."""
    path = PACKAGE / f"{unit}.py"
    assert set(get_relative_imports(path)) <= CORE
    assert set(get_imports(path)) <= CORE_MAY_IMPORT


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


def optional_packages_loaded_by(modules: list[str], hidden: set[str]) -> list[str]:
    """Import `modules` in a fresh process where the packages `hidden` are not installed; OPTIONAL ones then loaded."""
    code = HIDE.format(hidden=hidden, modules=modules, optional=OPTIONAL)
    run = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def module_names(units: set[str]) -> list[str]:
    """Dotted names of all modules of the package that belong to `units`."""
    paths = [path.relative_to(REPOSITORY).with_suffix("") for path in sorted(PACKAGE.rglob("*.py"))]
    return [".".join(path.parts).removesuffix(".__init__") for path in paths if path.parts[1] in units]


def test_package_and_core_load_no_optional_package():
    # accelerate is hidden, not looked for: transformers itself loads it wherever it is installed.
    assert optional_packages_loaded_by(["ldebm_hf", *module_names(CORE)], hidden={"accelerate"}) == []


def test_everything_but_metrics_and_plots_imports_without_the_optional_packages():
    assert optional_packages_loaded_by(["ldebm_hf", *module_names(set(LAYER) - BUILT_ON_OPTIONAL)], OPTIONAL) == []
