"""A run that is killed anywhere and resumed ends with the very weights of one that is not."""

import os
import random
import re
import shutil
import signal
from pathlib import Path

import pytest
from killed_processes import run_or_kill
from safetensors.torch import load_file
from tiny_runs import assert_same_weights, tiny_corpus, tiny_trainer, weights

from ldebm_hf import LDEBMModel
from ldebm_hf.files import atomic
from ldebm_hf.files.manifest import problem_of
from ldebm_hf.reports.saved_symbols import save_symbols
from ldebm_hf.training import checkpoints, evaluation, loop

RUN = {"num_train_epochs": 3, "save_steps": 2, "logging_steps": 3}
FINAL = "step-00000015"


def die(*_, **__) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(function, calls: int):
    """`function`, which is the process's last deed when it has been called so many times."""
    left = [calls]

    def mortal(*arguments, **keywords):
        left[0] -= 1
        if left[0] < 0:
            die()
        return function(*arguments, **keywords)

    return mortal


def run_until_killed(output_dir: Path, place: str | None, calls: int, training: dict) -> None:
    """Train in a process of its own; at the place named, if any, it kills itself after so many calls."""
    os.environ["OMP_NUM_THREADS"] = "1"
    evaluation.NUM_PRIOR_SAMPLES = 32
    loop.plot_validation_curves = lambda *_: False
    if place == "in a step":
        loop.clip_gradients = die_after(loop.clip_gradients, calls)
    elif place == "after the files of a checkpoint, before its manifest":
        checkpoints.CheckpointStore._finish = die_after(checkpoints.CheckpointStore._finish, calls)
    elif place == "after the manifest, before the checkpoint is moved into place":
        checkpoints.flush_folder = die_after(checkpoints.flush_folder, calls)
    elif place == "while old checkpoints are removed":
        checkpoints.flush = die_after(checkpoints.flush, calls)
    elif place == "while the best model is exchanged":
        atomic.flush_folder = die_after(atomic.flush_folder, calls)
    tiny_trainer(output_dir, tiny_corpus(labels="some"), **RUN, **training).train()


@pytest.fixture
def run(processes):
    def start(output_dir: Path, place: str | None = None, calls: int = 0, kill_after: float | None = None, **training):
        process = processes.Process(target=run_until_killed, args=(output_dir, place, calls, training))
        return run_or_kill(process, kill_after)

    return start


@pytest.fixture(scope="module")
def uninterrupted(processes, tmp_path_factory) -> Path:
    output_dir = tmp_path_factory.mktemp("uninterrupted")
    process = processes.Process(target=run_until_killed, args=(output_dir, None, 0, {}))
    process.start()
    process.join()
    assert process.exitcode == 0
    return output_dir


def assert_same_end(first: Path, second: Path) -> None:
    for name in ("model.safetensors", f"checkpoints/{FINAL}/model.safetensors", f"checkpoints/{FINAL}/optimizer.bin"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.mark.parametrize(
    ("place", "calls"),
    [
        ("in a step", 1),  # before the first checkpoint
        ("in a step", 8),
        ("after the files of a checkpoint, before its manifest", 2),
        ("after the manifest, before the checkpoint is moved into place", 3),
        ("while old checkpoints are removed", 3),
        ("while the best model is exchanged", 1),
    ],
)
def test_run_killed_at_the_worst_places_ends_the_same(run, tmp_path, uninterrupted, place, calls):
    assert run(tmp_path, place, calls, resume="latest") == -signal.SIGKILL
    assert not (tmp_path / "model.safetensors").exists()
    assert run(tmp_path, resume="latest") == 0
    assert_same_end(tmp_path, uninterrupted)


def test_run_killed_at_random_moments_again_and_again_ends_the_same(run, tmp_path, uninterrupted):
    """The allowance grows, so that the run gets through in the end on any machine."""
    rng, kills = random.Random(0), 0
    while run(tmp_path, kill_after=rng.uniform(0.1, 0.2) * 1.5**kills, resume="latest") != 0:
        kills += 1
    assert kills >= 1, "never interrupted"
    assert_same_end(tmp_path, uninterrupted)


# In the middle of the first epoch, at the ends of epochs, in the last epoch.
@pytest.mark.parametrize(("initialization", "steps"), [("random", (4, 10)), ("previous", (4, 5, 10, 14))])
def test_resuming_does_not_need_the_newest_checkpoint(tmp_path, initialization, steps):
    corpus, run = tiny_corpus(labels="no"), {"clustering": {"initialization": initialization}, **RUN}
    whole = tiny_trainer(tmp_path / "whole", corpus, save_total_limit=99, **run)
    whole.train()
    end = weights(whole)
    for step in steps:
        path = whole.folder.checkpoints / f"step-{step:08d}"
        resumed = tiny_trainer(whole.folder.path, corpus, save_total_limit=99, resume=str(path), **run)
        resumed.train()
        assert_same_weights(weights(resumed), end)


def test_batches_built_ahead_are_resumed_too(tmp_path):
    settings = {"dataloader_num_workers": 1, "gradient_accumulation_steps": 2, **RUN}
    whole = tiny_trainer(tmp_path, per_device_train_batch_size=4, save_total_limit=99, **settings)
    whole.train()
    path = whole.folder.checkpoints / "step-00000008"
    settings["dataloader_num_workers"] = 0  # which may change
    resumed = tiny_trainer(tmp_path, per_device_train_batch_size=4, save_total_limit=99, resume=str(path), **settings)
    resumed.train()
    assert_same_weights(weights(resumed), weights(whole))


def lines_without_times(trainer) -> list[str]:
    text = trainer.folder.metrics.read_text()
    return [re.sub(r'"(\w*seconds\w*)": [^,}]+', r'"\1"', line) for line in text.splitlines()]


def test_metrics_read_as_if_there_had_been_no_interruption(tmp_path):
    corpus = tiny_corpus(labels="no")
    whole = tiny_trainer(tmp_path / "whole", corpus, **RUN)
    whole.train()
    for saved, killed in ((8, 9), (10, 11)):
        trainer = tiny_trainer(tmp_path / f"killed at {killed}", corpus, **RUN)
        trainer.total_steps = killed
        trainer.train()
        last = trainer.folder.checkpoints / f"step-{saved:08d}"
        resumed = tiny_trainer(trainer.folder.path, corpus, resume=str(last), **RUN)
        resumed.train()
        assert lines_without_times(resumed) == lines_without_times(whole)


def test_damaged_newest_checkpoint_costs_steps_not_the_run(tmp_path, caplog):
    corpus = tiny_corpus()
    whole = tiny_trainer(tmp_path, corpus, **RUN)
    whole.train()
    newest = whole.folder.checkpoints / FINAL
    (newest / "optimizer.bin").write_bytes(b"")
    resumed = tiny_trainer(tmp_path, corpus, resume="latest", **RUN)
    resumed.train()
    assert f"skipping checkpoint {newest}" in caplog.text
    assert_same_weights(weights(resumed), weights(whole))
    assert problem_of(newest) is None


def test_finished_run_resumes_to_its_end_and_more_epochs_go_on(tmp_path):
    corpus = tiny_corpus()
    whole = tiny_trainer(tmp_path / "long", corpus, num_train_epochs=4)
    whole.train()
    short = tiny_trainer(tmp_path / "short", corpus, num_train_epochs=2)
    short.train()
    (tmp_path / "short" / "model.safetensors").unlink()
    assert tiny_trainer(tmp_path / "short", corpus, num_train_epochs=2, resume="latest").train() == {}
    assert (tmp_path / "short" / "model.safetensors").exists()
    longer = tiny_trainer(tmp_path / "short", corpus, num_train_epochs=4, resume="latest")
    longer.train()
    assert_same_weights(weights(longer), weights(whole))


def test_schedule_and_optimiser_are_resumed_too(tmp_path):
    settings = {"lr_scheduler_type": "cosine", "warmup_steps": 3, **RUN}
    whole = tiny_trainer(tmp_path, **settings, save_total_limit=99)
    whole.train()
    resumed = tiny_trainer(
        tmp_path, **settings, save_total_limit=99, resume=str(whole.folder.checkpoints / "step-00000006")
    )
    resumed.train()
    assert_same_weights(weights(resumed), weights(whole))


@pytest.fixture(scope="module")
def run_of_two_steps(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two_steps")
    tiny_trainer(folder, max_steps=2).train()
    return folder


@pytest.fixture
def two_steps(run_of_two_steps, tmp_path) -> None:
    """In `tmp_path` a copy of a run of two steps that has ended."""
    shutil.copytree(run_of_two_steps, tmp_path, dirs_exist_ok=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.5}, "training.learning_rate was 0.01 and is now 0.5"),
        ({"model": {"latent_size": 5}}, "model.latent_size was 4 and is now 5"),
        ({"clustering": {"num_iterations": 9}}, "clustering.num_iterations was 20 and is now 9"),
        ({"corpus": tiny_corpus(num_train=39)}, "the training examples was .* and is now"),
    ],
)
def test_run_with_other_settings_or_data_is_not_resumed(two_steps, tmp_path, change, message):
    with pytest.raises(ValueError, match=f"cannot resume from .*step-00000002, which is of another run: .*{message}"):
        tiny_trainer(tmp_path, max_steps=2, resume="latest", **change).train()


def test_settings_that_do_not_change_the_course_may_change(two_steps, tmp_path):
    resumed = tiny_trainer(tmp_path, max_steps=4, resume="latest", save_steps=1, logging_steps=1, save_total_limit=1)
    resumed.train()
    assert resumed.progress.step == 4


def test_latest_without_any_checkpoint_starts_from_the_beginning(tmp_path, capsys):
    trainer = tiny_trainer(tmp_path, max_steps=1, resume="latest")
    trainer.train()
    assert "starting from the beginning" in capsys.readouterr().out
    assert load_file(tmp_path / "model.safetensors")


def test_two_resumes_started_together_leave_one_whole_model(run, processes, tmp_path, uninterrupted):
    assert run(tmp_path, "in a step", 8, resume="latest") == -signal.SIGKILL
    arguments = (tmp_path, None, 0, {"resume": "latest"})
    both = [processes.Process(target=run_until_killed, args=arguments) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    codes = sorted(process.exitcode for process in both)
    assert codes in ([0, 0], [0, 1]), "one is refused, unless it begins when the other has ended"
    assert_same_end(tmp_path, uninterrupted)
    assert problem_of(tmp_path) is None and problem_of(tmp_path / "best") is None


def test_a_run_whose_symbols_were_merged_is_not_resumed_until_they_are_separate_again(tmp_path):
    corpus = tiny_corpus()
    trainer = tiny_trainer(tmp_path, corpus, num_train_epochs=1)
    trainer.train()
    model = LDEBMModel.from_pretrained(tmp_path)
    model.merge_symbols([[0, 2]])
    save_symbols(tmp_path, model)
    before = (tmp_path / "config.json").read_bytes()
    with pytest.raises(ValueError, match=r"holds a model whose symbols were merged.*copy .*best.config.json over its"):
        tiny_trainer(tmp_path, corpus, num_train_epochs=2, resume="latest").train()
    assert (tmp_path / "config.json").read_bytes() == before
    shutil.copyfile(tmp_path / "best" / "config.json", tmp_path / "config.json")
    tiny_trainer(tmp_path, corpus, num_train_epochs=2, resume="latest").train()
    assert LDEBMModel.from_pretrained(tmp_path).config.num_symbols == 3


def test_training_with_groups_from_the_start_learns_the_symbols_and_resumes(tmp_path):
    corpus, model = tiny_corpus(), {"num_symbols": 3, "symbol_groups": [0, 1, 2, 0]}
    tiny_trainer(tmp_path, corpus, num_train_epochs=1, model=model).train()
    tiny_trainer(tmp_path, corpus, num_train_epochs=2, model=model, resume="latest").train()
    trained = LDEBMModel.from_pretrained(tmp_path)
    assert trained.prior.energy.head.out_features == 4 and trained.config.num_symbols == 3
