"""Recipes and tables are found by name, and files by path."""

import re

import pytest

from ldebm_hf.files.packaged import RECIPES, TABLES, find_file, packaged_names
from ldebm_hf.training import load_settings


def test_a_name_is_the_packaged_file_and_a_path_is_any_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()  # as a folder of a run may be called
    (tmp_path / "mine.yaml").touch()
    assert find_file("demo", RECIPES, "recipe") == RECIPES / "demo.yaml"
    assert find_file("table3", TABLES, "table") == TABLES / "table3.yaml"
    assert find_file("mine.yaml", RECIPES, "recipe").resolve() == tmp_path / "mine.yaml"
    assert "texts" in packaged_names(RECIPES) and "table1_kl" in packaged_names(TABLES)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("examples/recipes/demo.yaml", "there is no recipe 'examples/recipes/demo.yaml' (--config); one of that name "
         "comes with the package: --config demo"),
        ("topics.yaml", "comes with the package: --config topics"),
        ("topic", "there is no recipe 'topic' (--config): did you mean topics"),
        ("zzz", "give the path of a file, or one of agnews, "),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named_with_what_is(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        find_file(name, RECIPES, "recipe")


def test_settings_take_a_packaged_recipe_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    by_name, by_path = (load_settings(["--config", config]) for config in ("demo", str(RECIPES / "demo.yaml")))
    assert by_name.to_dict() == by_path.to_dict()
