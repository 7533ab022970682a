"""The reference page of settings: complete, and as committed."""

from pathlib import Path

from ldebm_hf.model.configuration_ldebm import LDEBMConfig
from ldebm_hf.training.settings import known_settings
from ldebm_hf.training.settings_reference import documented_arguments, settings_reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "settings.md"


class Documented:
    """
    A class.

    Args:
        first (`int`, *optional*, defaults to 0): One line (with
            more of it).

        second (`str`): Another: the last.

    Raises:
        ValueError: Never.
    """


def test_the_committed_page_is_that_of_the_code():
    assert PAGE.read_text("utf-8") == settings_reference(), "run `make docs`, and commit what it writes"


def test_arguments_are_read_from_a_docstring():
    assert documented_arguments(Documented) == {"first": "One line (with more of it).", "second": "Another: the last."}


def test_every_setting_has_an_entry_with_type_default_and_limits():
    page = settings_reference()
    for full_name in known_settings():
        section, _, name = full_name.partition(".")
        assert f"- **`{name}`** (" in page.partition(f"\n## {section}\n")[2], full_name
    assert "- **`num_train_epochs`** (a whole number, default `10`, at least 1): " in page
    assert max(map(len, page.splitlines())) <= 119


def test_every_field_of_the_model_is_explained_where_it_is_declared():
    explained = documented_arguments(LDEBMConfig)
    undocumented = [name for name, item in known_settings().items() if not item.help and name[6:] not in explained]
    assert not undocumented
