"""The reference page of settings: complete, and as committed."""

from pathlib import Path

from ldebm_hf.training.settings import known_settings
from ldebm_hf.training.settings_reference import settings_reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "settings.md"


def test_the_committed_page_is_that_of_the_code():
    assert PAGE.read_text("utf-8") == settings_reference(), "run `make docs`, and commit what it writes"


def test_every_setting_has_an_entry_with_type_default_and_limits():
    page = settings_reference()
    for full_name in known_settings():
        section, _, name = full_name.partition(".")
        assert f"- **`{name}`** (" in page.partition(f"\n## {section}\n")[2], full_name
    assert "- **`num_train_epochs`** (a whole number, default `10`, at least 1): " in page
    assert max(map(len, page.splitlines())) <= 119


def test_every_setting_is_explained():
    assert [name for name, item in known_settings().items() if not item.help] == []


def test_settings_of_the_model_have_their_whole_description():
    page = " ".join(settings_reference().split())
    assert "Default: the M-th root of the number of symbols, so that every joint code is a symbol." in page
    assert (
        "**`point_center`** (a list of numbers such as 0.1,0.9 or none, default `none`): Subtracted from every point "
        "inside the model. Default: the mean of the training points." in page
    )
