"""
Random damage to recipes: each is read, or refused in a sentence.

    python benchmarks/fuzz_recipes.py --number 3000 --seed 0

Each is a recipe of `ldebm_hf/recipes` of which settings, lines or bytes are changed. What is read becomes the
configuration of a model. A refusal is a ValueError or an error about the file, and names a setting or a section that
was changed or, if the file is no longer YAML, the recipe.
"""

from __future__ import annotations

import random
import re
import tempfile
from pathlib import Path

import numpy as np
import yaml
from fuzz_outcomes import Outcomes, ascii_only, damaged_bytes, names_one_of, run_from_command_line, try_request

from ldebm_hf import build_tokenizer
from ldebm_hf.files.packaged import RECIPES
from ldebm_hf.training.command_line import load_settings
from ldebm_hf.training.settings import known_settings
from ldebm_hf.training.typed_values import allowed_words

VALUES = (
    "", "~", "none", "null", "true", "no", "-1", "0", "1", "3", "0.5", "1e-3", "1e400", ".nan", ".inf", "nan", "-inf",
    "1_000", "0x10", "9" * 400, "9" * 5000, "abc", "text", "document", "point", "[]", "[1, 2]", "[a, [b]]", "{}",
    "{0: a, 1: b}", "{a: {b: c}}", "{0: a, 0: b}", "'\\x00'", '"\\ud800"', "2020-01-01", "!!python/object:os.system x",
    "!!binary aGVsbG8=", "&a [*a]", "*b", "<<", "? x", "|", ">", "'", '"', "%", "@", "`", "- a", "a: b", "\t",
    "é", "雨",
)  # fmt: skip
PLAIN_VALUES = (
    "", None, "none", "null", True, False, -1, 0, 1, 2, 3, 8, 16, 0.1, 0.5, 0.9, 1.0, 1e-3, 1e20, 1e400, "nan",
    "inf", "-inf", "1_000", "9" * 5000, 10**30, "abc", "text", "epoch", "steps", [], [1, 2], [0.1, 0.5], ["a", ["b"]],
    {}, {0: "a", 1: "b"}, {"a": {"b": "c"}}, "\x00", "2020-01-01", "a,b", "0.1,0.9",
)  # fmt: skip
DEEP = ("[" * 5000, "{a: " * 5000, "\n".join(" " * depth + "a:" for depth in range(600)), "- " * 5000)


def random_recipe(rng: random.Random, names: list[str]) -> tuple[bytes, set[str]]:
    """A recipe with other settings, or with damaged lines or bytes, and the names of what was changed."""
    text = rng.choice(sorted(RECIPES.glob("*.yaml"))).read_text("utf-8")
    if rng.random() < 0.6:
        return _with_other_settings(rng, text, names)
    lines, original = text.split("\n"), text.split("\n")
    for _ in range(rng.choice([1, 1, 2])):
        place = rng.randrange(len(lines))
        change = rng.random()
        if change < 0.5 and ":" in lines[place]:
            lines[place] = lines[place].partition(":")[0] + ": " + rng.choice(VALUES)
        elif change < 0.6:
            lines.insert(place, rng.choice(VALUES))
        elif change < 0.7:
            lines.insert(place, rng.choice(DEEP))
        elif change < 0.8:
            lines[place] = " " * rng.randrange(5) + lines[place]
        else:
            del lines[place]
            lines = lines or [""]
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    if rng.random() < 0.4:
        data = damaged_bytes(rng, data)
    return data, _names_on_other_lines(original, data.decode("utf-8", "replace").splitlines())


def _names_on_other_lines(before: list[str], after: list[str]) -> set[str]:
    """The words on lines that are not the same in both, and the sections that these lines are in."""
    names, section = set(), ""
    for lines, others in ((before, set(after)), (after, set(before))):
        for line in lines:
            section = line.partition(":")[0] if line[:1].isalpha() else section
            if line not in others:
                names |= {section, *re.findall(r"\w+", line)}
    return names - {""}


def _with_other_settings(rng: random.Random, text: str, names: list[str]) -> tuple[bytes, set[str]]:
    """A recipe of which one to three settings have other values, some of the right type, and their names."""
    sections, changed = yaml.load(text, Loader=yaml.BaseLoader), set()
    for _ in range(rng.choice([1, 1, 2, 3])):
        full_name = rng.choice(names)
        section, name = full_name.split(".")
        words = allowed_words(known_settings()[full_name].type)
        value = rng.choice(words) if words and rng.random() < 0.5 else rng.choice(PLAIN_VALUES)
        if rng.random() < 0.03:
            changed.add(key := rng.choice([section, name]))
            sections[key] = value
        elif isinstance(sections.setdefault(section, {}), dict):
            sections[section][name] = value
            changed.add(name)
    return yaml.safe_dump(sections, allow_unicode=True).encode("utf-8", "surrogatepass"), changed


def read(path: Path, tokenizer) -> None:
    """Read a recipe up to the configuration of a model."""
    settings = load_settings(["--config", str(path)])
    if "pretrained" in (settings.model_value("encoder"), settings.model_value("decoder")):
        return  # whose files are not there
    if settings.modality_class.reads_texts:
        settings.model_config(tokenizer)
    else:
        settings.model_config(points=np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32))
    yaml.safe_dump(settings.to_dict())


def is_yaml(text: bytes) -> bool:
    try:
        return isinstance(yaml.load(text, Loader=yaml.BaseLoader), dict)
    except (yaml.YAMLError, UnicodeError, RecursionError):
        return False


def is_clear(error: Exception, names: set[str]) -> bool:
    """Whether an error is a sentence about one of some things."""
    is_sentence = type(error) in (ValueError, FileNotFoundError, OSError)
    return is_sentence and names_one_of(str(error), names)


def run(number: int, seed: int = 0, seconds: int = 20) -> Outcomes:
    """The outcomes of random recipes."""
    rng, outcomes = random.Random(seed), Outcomes()
    tokenizer, settings = build_tokenizer(["a b c d e f g"]), list(known_settings())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        for index in range(number):
            data, names = random_recipe(rng, settings)
            if not is_yaml(data):
                names = {"recipe.yaml"}
            path.write_bytes(data)
            outcome, message = try_request(
                lambda: read(path, tokenizer), lambda error, names=names: is_clear(error, names), seconds=seconds
            )
            outcomes.add(outcome, f"recipe {index}({ascii_only(repr(data[-300:]))})", ascii_only(message))
    return outcomes


if __name__ == "__main__":
    run_from_command_line(__doc__, run, "recipes", 3000)
