"""Mutants are what they are said to be, and the lists of modules and survivors are up to date."""

import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
MODULES = tomllib.loads((HERE / "modules.toml").read_text("utf-8"))
SURVIVORS = tomllib.loads((HERE / "survivors.toml").read_text("utf-8"))["reasons"]
SOURCE = """
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    SIZE = 1

def shifted(x: int | None, *, step: float = 1.5) -> "int | None":
    for one, other in zip(x, x, strict=True):
        one += other
    return x.detach() + step, f(x, scale=2)
"""


def test_every_module_has_its_tests():
    for module, tests in MODULES["modules"].items():
        assert (REPOSITORY / "ldebm_hf" / f"{module}.py").is_file()
        files = [test.removeprefix("--deselect=").partition("::")[0] for test in tests]
        assert files and all((REPOSITORY / file).is_file() for file in files)
    for folder in ("pseudo_labels", "likelihood"):
        files = {f"{folder}/{path.stem}" for path in (REPOSITORY / "ldebm_hf" / folder).glob("[!_]*.py")}
        assert files <= set(MODULES["modules"])


@pytest.mark.parametrize("survivor", SURVIVORS, ids=lambda survivor: f"{survivor['module']}: {survivor['after']:.40}")
def test_every_survivor_is_of_a_line_that_there_is(survivor):
    source = (REPOSITORY / "ldebm_hf" / f"{survivor['module']}.py").read_text("utf-8")
    assert survivor["before"] in " ".join(line.strip() for line in source.splitlines())
    assert survivor["before"] != survivor["after"] and len(survivor["reason"].split()) > 3


@pytest.fixture(scope="module")
def mutants():
    return pytest.importorskip("mutants", reason="needs the extra `mutation`", exc_type=ImportError)


def test_operators_do_what_their_examples_show(mutants):
    for kind in mutants.OWN_OPERATORS.values():
        for example in kind.examples():
            before, after = example.pre_mutation_code, example.post_mutation_code
            assert mutants.mutate_code(before, kind(), example.occurrence) == after


def changes(mutants, operators) -> set[tuple[str, str]]:
    found = mutants.mutants_of(SOURCE, operators)
    return {mutants.changed_lines(SOURCE, mutant.apply(SOURCE)) for mutant in found}


def test_annotations_and_strictness_are_not_changed(mutants):
    after = " ".join(line for _, line in changes(mutants, MODULES["operators"]))
    assert "SIZE" not in after and "strict=False" not in after and "int &" not in after and "int or" not in after


def test_every_kind_of_change_is_made(mutants):
    expected = {
        "DropMethodCall": "return x + step, f(x, scale=2)",
        "DropKeywordArgument": "return x.detach() + step, f(x)",
        "DropStatement": "pass",
        "ReplaceBinaryOperator_Add_Sub": "return x.detach() - step, f(x, scale=2)",
    }
    for operator, line in expected.items():
        assert [after for _, after in changes(mutants, [operator])] == [line]


def test_the_same_seed_samples_the_same_mutants(mutants):
    every = mutants.mutants_of(SOURCE, MODULES["operators"])
    assert mutants.sampled(every, 3, 0) == mutants.sampled(every, 3, 0) != mutants.sampled(every, 3, 1)
    assert len(mutants.sampled(every, 3, 0)) == 3
    assert len(mutants.sampled(every, None, 0)) == len(mutants.sampled(every, 999, 0)) == len(every)


def test_change_of_the_layout_alone_is_no_mutant(mutants):
    assert mutants.same_program("x = 1\n", "x  =  1\n") and not mutants.same_program("x = 1\n", "x = 2\n")
