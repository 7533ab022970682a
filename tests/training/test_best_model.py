"""The best model of a run: whatever happens to its files is said, and never published."""

import json
import shutil

import pytest
from tiny_runs import assert_same_weights, tiny_corpus, tiny_trainer, weights

from ldebm_hf import LDEBMModel
from ldebm_hf.files.manifest import MANIFEST, problem_of, read_manifest
from ldebm_hf.training import loop
from ldebm_hf.training.progress import Progress

CORPUS = tiny_corpus()


def flip_a_bit(path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory):
    """A trainer whose run of two epochs has ended."""
    trainer = tiny_trainer(tmp_path_factory.mktemp("two_epochs"), CORPUS)
    trainer.train()
    return trainer


@pytest.fixture
def finished(two_epochs, tmp_path):
    """The trainer of a run of two epochs that has ended, and in `tmp_path` a copy of its folder."""
    shutil.copytree(two_epochs.folder.path, tmp_path, dirs_exist_ok=True)
    return two_epochs


def test_manifest_of_the_best_model_is_published_with_it(finished, tmp_path):
    assert problem_of(tmp_path / "best") is None and problem_of(tmp_path) is None
    assert read_manifest(tmp_path)["step"] == finished.progress.best_step
    assert "model.safetensors" in read_manifest(tmp_path)["files"]


DAMAGES = {
    "a flipped bit": lambda best: flip_a_bit(best / "model.safetensors"),
    "half a configuration": lambda best: (best / "config.json").write_text('{"model_type": "ld'),
    "a missing file": lambda best: (best / "tokenizer.json").unlink(),
    "a manifest that is a list": lambda best: (best / MANIFEST).write_text("[]"),
    "no manifest": lambda best: (best / MANIFEST).unlink(),
    "no folder": lambda best: shutil.rmtree(best),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_best_model_of_a_finished_run_is_not_published(finished, tmp_path, damage):
    before = {name: (tmp_path / name).read_bytes() for name in [MANIFEST, *read_manifest(tmp_path)["files"]]}
    DAMAGES[damage](tmp_path / "best")
    assert tiny_trainer(tmp_path, CORPUS, resume="latest").train() == {}, "the published model is kept"
    assert all((tmp_path / name).read_bytes() == content for name, content in before.items())
    flip_a_bit(tmp_path / "model.safetensors")
    with pytest.raises(OSError, match=rf"the best model, of step \d+, is not in {tmp_path}/best \(.*the run is over"):
        tiny_trainer(tmp_path, CORPUS, resume="latest").train()


def test_damage_between_saving_and_publishing_is_an_error(tmp_path, monkeypatch):
    trainer = tiny_trainer(tmp_path, CORPUS)
    offer = trainer.best_model.offer

    def offer_and_damage(score):
        offer(score)
        flip_a_bit(tmp_path / "best" / "model.safetensors")

    monkeypatch.setattr(trainer.best_model, "offer", offer_and_damage)
    with pytest.raises(OSError, match="cannot be copied from .*best: model.safetensors is not as it was written"):
        trainer.train()
    assert not (tmp_path / "model.safetensors").exists()


def test_copy_that_the_disk_damages_is_an_error(tmp_path, monkeypatch):
    trainer = tiny_trainer(tmp_path, CORPUS)
    copy = loop.OutputFolder.publish_best.__globals__["copy_file"]

    def copy_and_damage(source, target):
        copy(source, target)
        if target.name == "model.safetensors":
            flip_a_bit(target)

    monkeypatch.setattr("ldebm_hf.training.output_folder.copy_file", copy_and_damage)
    with pytest.raises(OSError, match="model.safetensors is not as it was written: the disk may be damaged"):
        trainer.train()


@pytest.fixture(scope="module")
def three_epochs(tmp_path_factory):
    """A trainer whose run of three epochs has ended."""
    trainer = tiny_trainer(tmp_path_factory.mktemp("three_epochs"), CORPUS, num_train_epochs=3)
    trainer.train()
    return trainer


@pytest.mark.parametrize("damage", ["a flipped bit", "no folder"])
def test_run_that_goes_on_says_that_its_best_model_is_lost_and_selects_anew(
    finished, three_epochs, tmp_path, capsys, damage
):
    DAMAGES[damage](tmp_path / "best")
    resumed = tiny_trainer(tmp_path, CORPUS, num_train_epochs=3, resume="latest")
    resumed.train()
    assert "note: the best model, of step 10, is not in" in capsys.readouterr().out
    assert_same_weights(weights(resumed), weights(three_epochs))
    assert read_manifest(tmp_path)["step"] == 15


def test_better_model_that_could_not_be_saved_is_named_by_every_later_resume(tmp_path, monkeypatch, caplog):
    """The disk is full at the second validation, which is better than the first."""
    save_best, calls = loop.OutputFolder.save_best, []

    def disk_full_at_the_second(folder, model, tokenizer, step):
        calls.append(step)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        save_best(folder, model, tokenizer, step)

    monkeypatch.setattr(loop.OutputFolder, "save_best", disk_full_at_the_second)
    first = tiny_trainer(tmp_path, CORPUS)
    first.train()
    assert calls == [5, 10] and (first.progress.best_step, first.progress.lost_step) == (5, 10)
    said = "the model of step 10 had a better reconstruction_loss"
    assert said in caplog.text
    caplog.clear()
    tiny_trainer(tmp_path, CORPUS, resume="latest").train()
    assert said in caplog.text
    caplog.clear()
    longer = tiny_trainer(tmp_path, CORPUS, num_train_epochs=6, resume="latest")
    longer.train()
    assert longer.progress.best_step > 10 and longer.progress.lost_step is None and said not in caplog.text
    assert_same_weights(LDEBMModel.from_pretrained(tmp_path).state_dict(), load_best(tmp_path))


def load_best(folder):
    return LDEBMModel.from_pretrained(folder / "best").state_dict()


def test_model_of_a_run_that_was_overwritten_is_never_taken_for_the_new_ones(finished, tmp_path):
    again = tiny_trainer(tmp_path, CORPUS, seed=5, overwrite_output_dir=True)
    again.train()
    shutil.rmtree(tmp_path / "best")
    old = json.loads((tmp_path / MANIFEST).read_text())
    tiny_trainer(tmp_path, CORPUS, overwrite_output_dir=True).folder.discard_earlier_run()
    assert not (tmp_path / MANIFEST).exists() and old["step"] == again.progress.best_step


def test_new_run_that_has_waited_does_not_discard_the_one_that_ended_meanwhile(tmp_path):
    waiting = tiny_trainer(tmp_path, CORPUS)
    tiny_trainer(tmp_path, CORPUS, max_steps=2).train()
    with pytest.raises(ValueError, match="holds an earlier run: --resume latest continues it"):
        waiting.train()
    assert LDEBMModel.from_pretrained(tmp_path) and (tmp_path / "best").is_dir()


@pytest.mark.parametrize("greater", [True, False])
def test_progress_remembers_the_best_score_that_was_lost(greater):
    sign = 1 if greater else -1
    progress, patience = Progress(), 3

    def validate(step, score, saved):
        progress.step = step
        was_saved = saved and progress.is_best(sign * score, greater)
        progress.record_validation(sign * score, was_saved=was_saved, greater_is_better=greater, patience=patience)
        return progress.best_step, progress.lost_step

    assert validate(1, 1, True) == (1, None)
    assert validate(2, 0, True) == (1, None), "it was not better"
    assert validate(3, 5, False) == (1, 3)
    assert validate(4, 4, True) == (4, 3), "a better one is lost"
    assert validate(5, 4.5, False) == (4, 3)
    assert validate(6, 6, True) == (6, None)
    progress.forget_best(greater)
    assert (progress.best_metric, progress.best_step, progress.lost_step) == (None, None, 6)
    assert validate(7, 2, True) == (7, 6) and not progress.finished


def test_model_that_is_only_as_good_does_not_replace_the_best(tmp_path):
    trainer = tiny_trainer(tmp_path, CORPUS)
    trainer.folder.path.mkdir(exist_ok=True)
    for step, score, best in ((3, 2.0, 3), (4, 2.0, 3), (5, 1.5, 5), (6, 1.5, 5)):  # of a loss
        trainer.progress.step = step
        trainer.best_model.offer(score)
        assert trainer.progress.best_step == read_manifest(tmp_path / "best")["step"] == best
