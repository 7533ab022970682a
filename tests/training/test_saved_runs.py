"""Settings that come with a model: which of the files that they name are read."""

import pytest

from ldebm_hf.training.saved_runs import find_checkpoint, is_local, settings_to_show
from ldebm_hf.training.settings import DataSettings, Settings


def saved(folder, **data) -> str:
    Settings(data=DataSettings(**data)).save(folder / "settings.yaml")
    return str(folder)


@pytest.mark.parametrize(
    ("source", "expected"),
    [("synthetic", False), ("yelp", False), ("someone/news", False), ("my.csv", True), ("/etc/notes.txt", True),
     ("../up/my.csv", True), ("train*.jsonl", True)],
)  # fmt: skip
def test_what_counts_as_a_path(source, expected):
    assert is_local(source) is expected


def test_a_folder_here_is_no_data_set_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not is_local("private/notes")
    (tmp_path / "private" / "notes").mkdir(parents=True)
    assert is_local("private/notes")


def test_corpora_that_are_no_files_need_no_path(tmp_path):
    folder = saved(tmp_path, source="yelp", data_dir="/data/yelp")
    assert settings_to_show(folder).data.data_dir == "/data/yelp"
    assert settings_to_show(str(tmp_path / "nothing")) is None


def test_file_is_read_only_if_it_is_given(tmp_path):
    folder = saved(tmp_path, source="my.csv", data_dir="/somewhere", text_column="body")
    with pytest.raises(ValueError, match="name '/somewhere/my.csv', .* add --data /somewhere/my.csv"):
        settings_to_show(folder)
    data = settings_to_show(folder, "/somewhere/my.csv").data
    assert (data.source, data.data_dir, data.text_column) == ("/somewhere/my.csv", None, "body")


def test_file_of_validation_texts_is_read_only_if_it_is_given(tmp_path):
    folder = saved(tmp_path, source="my.csv", validation_file="valid.csv")
    with pytest.raises(ValueError, match="name 'valid.csv', .* add --validation_file valid.csv"):
        settings_to_show(folder, "my.csv")
    assert settings_to_show(folder, "my.csv", "other.csv").data.validation_file == "other.csv"


def test_checkpoint_of_a_training_is_no_model_and_says_where_the_model_is(tmp_path):
    checkpoint = tmp_path / "run" / "checkpoints" / "step-00000005"
    checkpoint.mkdir(parents=True)
    (checkpoint / "model.safetensors").write_bytes(b"")
    where = f"it is for --resume; the model will be in {tmp_path / 'run'} when the training ends"
    with pytest.raises(FileNotFoundError, match=rf"step-00000005' \(checkpoint\) holds no model: {where}"):
        find_checkpoint(str(checkpoint))
    for folder in (tmp_path / "run" / "best", tmp_path / "run"):
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text("{}")
        with pytest.raises(FileNotFoundError, match=f"holds no model: give {folder}$"):
            find_checkpoint(str(checkpoint))
    (tmp_path / "run" / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=f"holds no model: give {tmp_path / 'run' / 'best'}$"):
        find_checkpoint(str(tmp_path / "run"))
    with pytest.raises(FileNotFoundError, match="holds no model: a folder of a model has a config.json"):
        find_checkpoint(str(tmp_path))
