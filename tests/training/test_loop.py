"""The training loop: what a step optimises, which symbols an epoch has, what is kept, and when it stops."""

import json
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from tiny_runs import NOISELESS_MODEL, assert_same_weights, remove_noise, tiny_corpus, tiny_trainer, weights
from transformers import AutoModel, AutoTokenizer

from ldebm_hf import LDEBMModel
from ldebm_hf.data import NO_LABEL
from ldebm_hf.files.locks import InUseError
from ldebm_hf.training import DivergenceError, best_model, loop, symbols
from ldebm_hf.training.output_folder import OutputFolder
from ldebm_hf.training.symbols import symbols_of


def metrics(trainer, split: str) -> list[dict]:
    lines = [json.loads(line) for line in trainer.folder.metrics.read_text().splitlines()]
    return [line for line in lines if line["split"] == split]


# ---- a whole run


def test_run_leaves_everything_a_user_needs(tmp_path):
    trainer = tiny_trainer(tmp_path / "run", num_train_epochs=3)
    values = trainer.train()
    folder = trainer.folder
    assert trainer.progress.step == trainer.total_steps == 15
    model, tokenizer = AutoModel.from_pretrained(folder.path), AutoTokenizer.from_pretrained(folder.path)
    assert isinstance(model, LDEBMModel) and model.config.id2label == {0: "rain", 1: "food", 2: "game"}
    assert tokenizer("cold rain")["input_ids"][0] == model.config.bos_token_id
    assert len(metrics(trainer, "train")) == 3 * 3  # every 2 of an epoch's 5 steps, and at its end
    validations = metrics(trainer, "validation")
    assert [line["step"] for line in validations] == [5, 10, 15] and validations[-1]["values"] == values
    assert [path.name for path in sorted(folder.checkpoints.iterdir())] == ["step-00000010", "step-00000015"]
    assert folder.settings.exists()
    assert not [path for path in folder.path.rglob("*") if path.name.startswith(".")], "no temporary files"


def test_training_learns(tmp_path):
    trainer = tiny_trainer(tmp_path, num_train_epochs=12)
    values = trainer.train()
    first = metrics(trainer, "validation")[0]["values"]
    assert values["reconstruction_loss"] < first["reconstruction_loss"] - 3
    assert values["classification_loss"] < first["classification_loss"]


def test_best_model_is_kept_and_published(tmp_path, monkeypatch):
    """With the worst reconstruction as "best", the first epoch's model must stand in the folder at the end."""
    monkeypatch.setattr(best_model, "greater_is_better", lambda *_: True)
    trainer = tiny_trainer(tmp_path / "worst", num_train_epochs=3)
    trainer.train()
    one_epoch = tiny_trainer(tmp_path / "one", num_train_epochs=1)
    one_epoch.train()
    assert_same_weights(LDEBMModel.from_pretrained(trainer.folder.path).state_dict(), weights(one_epoch))


def test_early_stopping_counts_validations_without_a_new_best(tmp_path, monkeypatch):
    monkeypatch.setattr(best_model, "greater_is_better", lambda *_: True)
    trainer = tiny_trainer(tmp_path, num_train_epochs=9, early_stopping_patience=2)
    trainer.train()
    assert trainer.progress.finished and trainer.progress.epoch == 3


def test_max_steps_ends_the_run_within_an_epoch(tmp_path):
    trainer = tiny_trainer(tmp_path, max_steps=7)
    trainer.train()
    assert (trainer.progress.step, trainer.progress.epoch, trainer.progress.step_in_epoch) == (7, 1, 2)
    assert [line["step"] for line in metrics(trainer, "validation")] == [5, 7]


def test_earlier_run_is_not_overwritten_unless_told_to(tmp_path):
    tiny_trainer(tmp_path, max_steps=2).train()
    with pytest.raises(ValueError, match="--resume latest continues it, --overwrite_output_dir true discards it"):
        tiny_trainer(tmp_path, max_steps=1)
    again = tiny_trainer(tmp_path, max_steps=1, overwrite_output_dir=True)
    again.train()
    assert [path.name for path in again.folder.checkpoints.iterdir()] == ["step-00000001"]
    assert {line["step"] for line in metrics(again, "train")} == {1}


def test_same_seed_same_model_other_seed_another(tmp_path):
    models = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        trainer = tiny_trainer(tmp_path / name, max_steps=3, seed=seed)
        trainer.train()
        models.append(weights(trainer))
    assert_same_weights(models[0], models[1])
    assert not torch.equal(models[0]["encoder.heads.mean.weight"], models[2]["encoder.heads.mean.weight"])


def test_building_batches_ahead_changes_nothing(tmp_path):
    ends = []
    for workers in (0, 2):
        trainer = tiny_trainer(tmp_path / str(workers), max_steps=7, dataloader_num_workers=workers)
        trainer.train()
        ends.append(weights(trainer))
    assert_same_weights(*ends)


def test_validation_does_not_disturb_training(tmp_path, monkeypatch):
    trainer = tiny_trainer(tmp_path / "a")
    values = trainer.train()
    other = tiny_trainer(tmp_path / "b", per_device_eval_batch_size=5)
    monkeypatch.setattr(loop.Evaluator, "__call__", lambda *_: dict(values))
    other.train()
    assert_same_weights(weights(trainer), weights(other))


def test_sampler_options_reach_the_chains(tmp_path):
    """In bfloat16 the chains are others, so the prior's loss is; the texts are the same, so all else is near."""
    plain = tiny_trainer(tmp_path / "plain")
    rounded = tiny_trainer(tmp_path / "rounded", sampler_dtype="bfloat16", compile_sampler=True)
    assert plain.model.prior.sampler_options == {"compile": False, "dtype": torch.float32}
    assert rounded.model.prior.sampler_options == {"compile": True, "dtype": torch.bfloat16}
    rounded.model.prior.optimize_sampler(dtype=torch.bfloat16)  # compiling takes long and has a test of its own
    first, second = plain.train(), rounded.train()
    assert first["prior_loss"] != second["prior_loss"]
    assert second["reconstruction_loss"] == pytest.approx(first["reconstruction_loss"], rel=0.02)


def test_bf16_autocast_trains(tmp_path):
    trainer = tiny_trainer(tmp_path, tiny_corpus(labels="no"), mixed_precision="bf16", max_steps=6)
    assert np.isfinite(list(trainer.train().values())).all()
    assert {p.dtype for p in LDEBMModel.from_pretrained(tmp_path).parameters()} == {torch.float32}


def test_bf16_autocast_has_the_gradients_of_full_precision_to_its_rounding(tmp_path, monkeypatch):
    """bf16 keeps 8 bits: one rounding is off by at most 0.4 %, and a sum of many of them by little more."""
    full = step_gradients(tmp_path / "no", monkeypatch, max_steps=1)[0]
    AcceleratorState._reset_state(reset_partial_state=True)
    mixed = step_gradients(tmp_path / "bf16", monkeypatch, max_steps=1, mixed_precision="bf16")[0]
    for part in ("encoder", "decoder", "prior"):
        ours, expected = (
            torch.cat([gradient.flatten() for name, gradient in gradients.items() if name.startswith(part)])
            for gradients in (mixed, full)
        )
        assert 1e-6 < (ours - expected).norm() / expected.norm() < 0.02, part


# ---- a step


def test_groups_have_their_own_rate_decay_and_clip(tmp_path):
    trainer = tiny_trainer(
        tmp_path, learning_rate=0.5, prior_learning_rate=0.25, weight_decay=0.1, prior_weight_decay=0.2,
        max_grad_norm=1e-3, prior_max_grad_norm=1e-2, max_steps=1,
    )  # fmt: skip
    autoencoder, prior = trainer.optimizer.param_groups
    assert (autoencoder["name"], autoencoder["lr"], autoencoder["weight_decay"]) == ("autoencoder", 0.5, 0.1)
    assert (prior["name"], prior["lr"], prior["weight_decay"]) == ("prior", 0.25, 0.2)
    assert {id(p) for p in prior["params"]} == {id(p) for p in trainer.model.prior.parameters()}
    assert len(autoencoder["params"]) + len(prior["params"]) == len(list(trainer.model.parameters()))
    seen = {}
    trainer.optimizer.zero_grad = lambda: seen.update(
        {g["name"]: torch.stack([p.grad.norm() for p in g["params"]]).norm().item() for g in (autoencoder, prior)}
    )
    trainer.train()
    assert seen["autoencoder"] == pytest.approx(1e-3, rel=1e-3)
    assert seen["prior"] <= 1e-2 * 1.001
    logged = metrics(trainer, "train")[0]["values"]
    assert logged["autoencoder_grad_norm"] > 1e-3


def test_schedule_changes_both_rates(tmp_path):
    trainer = tiny_trainer(
        tmp_path, lr_scheduler_type="linear", learning_rate=1e-2, prior_learning_rate=1e-3, num_train_epochs=2
    )
    trainer.train()
    rates = [line["values"]["learning_rate"] for line in metrics(trainer, "train")]
    assert rates == pytest.approx([1e-2 * (1 - line["step"] / 10) for line in metrics(trainer, "train")])
    assert trainer.scheduler.get_last_lr() == [0, 0]


def noise_of_steps(trainer) -> list[bytes]:
    """The state of torch's generator as each training step begins to compute."""
    states = []

    def hook(module, arguments):
        if module.training:
            states.append(torch.random.get_rng_state().numpy().tobytes())

    trainer.model.register_forward_pre_hook(hook)
    trainer.train()
    return states


def test_every_step_of_every_run_has_noise_of_its_own(tmp_path):
    """That depends on nothing but the seed and the step."""
    first, again, other = (
        noise_of_steps(tiny_trainer(tmp_path / str(number), max_steps=7, seed=seed))
        for number, seed in enumerate((0, 0, 1))
    )
    assert first == again and len(first) == 7
    assert len({*first, *other}) == 14


def test_processes_have_noise_of_their_own_in_the_same_step(tmp_path, monkeypatch):
    trainer = tiny_trainer(tmp_path)
    batches = next(iter(trainer.planner.batches_of(next(iter(trainer.examples.shards(0))), 1)))
    states = []
    trainer.model.register_forward_pre_hook(lambda *_: states.append(torch.random.get_rng_state().numpy().tobytes()))
    for process in (0, 1):
        monkeypatch.setattr(Accelerator, "process_index", process)
        trainer._train_step(batches)
    assert len(set(states)) == 2


def test_every_epoch_has_an_order_of_its_own(tmp_path):
    """That depends on nothing but the seed, the epoch and the shard."""
    trainer, labels = tiny_trainer(tmp_path), np.zeros(40, dtype=np.int64)

    def order(epoch=0, shard=0, seed=0) -> list[int]:
        trainer.progress.epoch = epoch
        trainer.settings.training.seed = seed
        steps = trainer.planner.plan(labels, shard)
        return [int(index) for step in steps for batch in step.micro_batches for index in batch]

    places = [{}, {"epoch": 1}, {"epoch": 2}, {"shard": 1}, {"epoch": 1, "shard": 1}, {"seed": 1}]
    orders = [order(**place) for place in places]
    assert orders == [order(**place) for place in places]
    assert len({tuple(indices) for indices in orders}) == len(places)
    assert all(sorted(indices) == list(range(40)) for indices in orders)


def test_epochs_of_a_run_follow_their_orders(tmp_path):
    trainer, seen = tiny_trainer(tmp_path), []
    trainer.model.register_forward_pre_hook(
        lambda module, arguments, keywords: seen.append(keywords["input_ids"].shape) if module.training else None,
        with_kwargs=True,
    )
    plans, plan = [], trainer.planner.plan
    trainer.planner.plan = lambda *arguments: plans.append(plan(*arguments)) or plans[-1]
    trainer.train()
    first, second = ([m.tolist() for step in steps for m in step.micro_batches] for steps in plans)
    assert first != second and len(seen) == 10


def step_gradients(output_dir: Path, monkeypatch, **training) -> list[dict[str, torch.Tensor]]:
    """The gradients of each step of an epoch."""
    remove_noise(monkeypatch)
    trainer = tiny_trainer(
        output_dir, tiny_corpus(num_train=21), NOISELESS_MODEL, num_train_epochs=1, learning_rate=1e-6, **training
    )
    zero_grad, gradients = trainer.optimizer.zero_grad, []

    def keep_and_zero():
        gradients.append({name: p.grad.clone() for name, p in trainer.model.named_parameters()})
        zero_grad()

    trainer.optimizer.zero_grad = keep_and_zero
    trainer.train()
    return gradients


def test_accumulated_gradients_are_those_of_the_large_batch(tmp_path, monkeypatch):
    """Steps of 8, 8 and the 5 that are left, once as micro-batches of 4 + 4, 4 + 4 and 3 + 2."""
    plain = step_gradients(tmp_path / "a", monkeypatch, per_device_train_batch_size=8)
    halves = step_gradients(tmp_path / "b", monkeypatch, per_device_train_batch_size=4, gradient_accumulation_steps=2)
    assert len(plain) == len(halves) == 3
    for one, two in zip(plain, halves, strict=True):
        assert max(gradient.abs().max() for gradient in one.values()) > 1e-2
        for name, gradient in one.items():
            torch.testing.assert_close(two[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


# ---- symbols


def epoch_symbols(trainer) -> np.ndarray:
    trainer.symbols.start_epoch()
    return symbols_of(trainer.train_set.labels, trainer.symbols.assign(trainer.train_set))


def drawn_in_epoch(trainer, symbols: np.ndarray) -> list[int]:
    """The examples of an epoch's steps, in order."""
    return [index for step in trainer.planner.plan(symbols) for batch in step.micro_batches for index in batch]


def test_labelled_texts_are_neither_clustered_nor_resampled(tmp_path, monkeypatch):
    monkeypatch.setattr(symbols, "posterior_means", lambda *_: pytest.fail("encoded for clustering"))
    trainer = tiny_trainer(tmp_path)
    np.testing.assert_array_equal(epoch_symbols(trainer), trainer.train_set.labels)
    drawn = Counter(drawn_in_epoch(trainer, trainer.train_set.labels))
    assert set(drawn.values()) == {1} and len(drawn) == 40


def test_unlabelled_texts_get_clusters_that_are_drawn_equally_often(tmp_path):
    trainer = tiny_trainer(tmp_path, tiny_corpus(labels="no"))
    of_examples = epoch_symbols(trainer)
    assert set(of_examples) == {0, 1, 2}
    drawn = of_examples[drawn_in_epoch(trainer, of_examples)]
    assert len(drawn) == 40 and max(Counter(drawn).values()) - min(Counter(drawn).values()) <= 2


def test_known_labels_stay_and_clusters_are_named_after_them(tmp_path):
    trainer = tiny_trainer(tmp_path, tiny_corpus(labels="some"), num_train_epochs=8)
    trainer.train()
    of_examples, labels = epoch_symbols(trainer), trainer.train_set.labels
    known = labels >= 0
    assert known.sum() == 10
    np.testing.assert_array_equal(of_examples[known], labels[known])
    assert (of_examples[~known] >= 0).all()
    truth = np.array(tiny_corpus(labels="all").train.labels)
    assert (of_examples[~known] == truth[~known]).mean() > 0.6, "trained posterior means lie by topic"


def test_without_clustering_unlabelled_texts_have_no_symbol_and_no_resampling(tmp_path):
    trainer = tiny_trainer(tmp_path, tiny_corpus(labels="some"), clustering={"enabled": False}, max_steps=2)
    of_examples = epoch_symbols(trainer)
    np.testing.assert_array_equal(of_examples, trainer.train_set.labels)
    assert (of_examples == NO_LABEL).sum() == 30
    assert len(set(drawn_in_epoch(trainer, of_examples))) == 40
    trainer.train()


def test_resampling_can_be_switched_off_alone(tmp_path):
    trainer = tiny_trainer(tmp_path, tiny_corpus(labels="no"), clustering={"balanced_resampling": False})
    of_examples = epoch_symbols(trainer)
    assert (of_examples >= 0).all()
    assert len(set(drawn_in_epoch(trainer, of_examples))) == 40


def test_clusters_are_of_posterior_means_in_corpus_order(tmp_path):
    trainer = tiny_trainer(tmp_path, tiny_corpus(labels="no"), per_device_eval_batch_size=7)
    features = symbols.posterior_means(trainer.model, trainer.train_set, 7, trainer.accelerator)
    for index in (0, 17, 39):
        ids = torch.tensor([trainer.train_set.token_ids[index]])
        mean = trainer.model.encode(ids, torch.ones_like(ids)).posterior_mean[0].detach()
        np.testing.assert_allclose(features[index], mean, atol=1e-6)


def test_bar_values_are_logged_against_clusters_or_labels(tmp_path):
    for labels, name in (("all", "symbol_accuracy"), ("some", "symbol_accuracy"), ("no", "cluster_agreement")):
        trainer = tiny_trainer(tmp_path / labels, tiny_corpus(labels=labels), max_steps=5)
        trainer.train()
        values = metrics(trainer, "train")[-1]["values"]
        assert {"symbol_accuracy", "cluster_agreement"} & values.keys() == {name}
        assert 0 <= values[name] <= 1


def test_too_many_components_are_refused_before_training(tmp_path):
    with pytest.raises(ValueError, match="clustering.num_components=9 must not be more than latent_size=4"):
        tiny_trainer(tmp_path, tiny_corpus(labels="no"), clustering={"features": "whitened", "num_components": 9})
    tiny_trainer(tmp_path, tiny_corpus(labels="all"), clustering={"features": "whitened", "num_components": 9})


def test_missing_faiss_is_told_before_training_and_only_where_it_is_needed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match="clustering.enabled=false"):
        tiny_trainer(tmp_path, tiny_corpus(labels="some"))
    tiny_trainer(tmp_path / "a", tiny_corpus(labels="some"), clustering={"enabled": False}, max_steps=1).train()
    tiny_trainer(tmp_path / "b", tiny_corpus(labels="all"), max_steps=1).train()


# ---- what can go wrong


def spoil_step(trainer, step: int, **values: float) -> None:
    """Let the model return other values at one optimiser step."""

    def hook(module, arguments, output):
        if module.training and trainer.progress.step + 1 == step:
            for name, value in values.items():
                output[name] = output[name] * 0 + value

    trainer.model.register_forward_hook(hook)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prior_loss": float("nan")}, "step 4: prior_loss is nan"),
        ({"energy_negative": -1e7}, "step 4: energy_negative is -1e\\+07"),
        ({"loss": float("inf")}, "step 4: loss is inf"),
    ],
)
def test_divergence_stops_the_run_before_it_is_saved(tmp_path, values, message):
    trainer = tiny_trainer(
        tmp_path, save_steps=3, logging_steps=100, num_train_epochs=1, per_device_train_batch_size=4
    )
    spoil_step(trainer, 4, **values)
    with pytest.raises(DivergenceError, match=f"{message}; the last good checkpoint is .*step-00000003"):
        trainer.train()
    assert [path.name for path in trainer.folder.checkpoints.iterdir()] == ["step-00000003"]


def test_a_second_run_in_the_folder_is_refused_before_it_touches_anything(tmp_path):
    waiting = tiny_trainer(tmp_path, max_steps=2, overwrite_output_dir=True)
    (tmp_path / "metrics.jsonl").write_text("of the other run")
    with OutputFolder(tmp_path).lock:
        for start in (waiting.train, lambda: tiny_trainer(tmp_path, resume="latest")):
            with pytest.raises(InUseError, match=f"{tmp_path} is in use by process {os.getpid()} on"):
                start()
        assert (tmp_path / "metrics.jsonl").read_text() == "of the other run"
    waiting.train()
    assert not list(tmp_path.glob(".lock*"))


def test_a_run_that_fails_lets_go_of_its_folder(tmp_path):
    trainer = tiny_trainer(tmp_path)
    spoil_step(trainer, 1, loss=float("nan"))
    with pytest.raises(DivergenceError):
        trainer.train()
    tiny_trainer(tmp_path, max_steps=1).train()


def test_gradient_that_is_not_finite_is_divergence_too(tmp_path):
    trainer = tiny_trainer(tmp_path)
    trainer.model.encoder.heads.mean.weight.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(DivergenceError, match="step 1: autoencoder_grad_norm is nan; no checkpoint had been written"):
        trainer.train()


def test_posterior_means_that_are_not_finite_are_named(tmp_path):
    trainer = tiny_trainer(tmp_path, tiny_corpus(labels="no"))
    torch.nn.init.constant_(trainer.model.encoder.heads.mean.bias, float("nan"))
    with pytest.raises(DivergenceError, match="step 0: posterior_mean is nan"):
        trainer.train()


def test_full_disk_does_not_end_the_run(tmp_path, monkeypatch, caplog):
    trainer = tiny_trainer(tmp_path, save_steps=1, save_total_limit=9)
    save_state, calls = trainer.accelerator.save_state, []

    def disk_full_at_the_second_save(path):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return save_state(path)

    monkeypatch.setattr(trainer.accelerator, "save_state", disk_full_at_the_second_save)
    trainer.train()
    saved = [int(path.name[-8:]) for path in sorted(trainer.folder.checkpoints.iterdir())]
    assert saved == [1, 3, 4, 5, 6, 7, 8, 9, 10]
    assert "No space left on device; training goes on, the last checkpoint is" in caplog.text
    assert "step-00000001" in caplog.text


def test_best_model_that_cannot_be_saved_is_tried_again_at_the_end(tmp_path, monkeypatch, caplog):
    trainer = tiny_trainer(tmp_path)
    save_best, calls = loop.OutputFolder.save_best, []

    def disk_full_at_first(folder, model, tokenizer, step):
        calls.append(folder)
        if len(calls) <= 2:
            raise OSError(28, "No space left on device")
        save_best(folder, model, tokenizer, step)

    monkeypatch.setattr(loop.OutputFolder, "save_best", disk_full_at_first)
    trainer.train()
    assert "could not save the best model so far" in caplog.text
    assert_same_weights(LDEBMModel.from_pretrained(tmp_path).state_dict(), weights(trainer))


def test_final_model_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    def disk_full(*_):
        raise OSError(28, "No space left on device")

    trainer = tiny_trainer(tmp_path, max_steps=1)
    monkeypatch.setattr(loop.OutputFolder, "save_best", disk_full)
    with pytest.raises(OSError, match="No space left on device"):
        trainer.train()


# ---- what is said, shown and written on the way


class Bar:
    """A progress bar that only remembers."""

    made: list["Bar"]
    lines: list[str]

    def __init__(self, **settings):
        self.settings, self.updates, self.shown, self.is_closed = settings, 0, {}, False
        type(self).made.append(self)

    def update(self):
        self.updates += 1

    def set_postfix(self, values):
        self.shown = values

    def close(self):
        self.is_closed = True

    @classmethod
    def write(cls, line):
        cls.lines.append(line)


@pytest.fixture
def bars(monkeypatch):
    monkeypatch.setattr(Bar, "made", [], raising=False)
    monkeypatch.setattr(Bar, "lines", [], raising=False)
    monkeypatch.setattr(loop, "tqdm", Bar)
    return Bar


def test_bars_logs_and_checkpoints_of_a_run_and_of_its_continuation(tmp_path, bars, monkeypatch):
    """Epochs of 5 steps; a log line every 2 steps, before every checkpoint and at every end."""
    training = {"max_steps": 7, "save_steps": 3, "save_total_limit": 9}
    trainer, drawn = tiny_trainer(tmp_path, **training), []
    monkeypatch.setattr(loop, "plot_validation_curves", lambda *arguments: drawn.append(arguments))
    values = trainer.train()
    assert [bar.settings for bar in bars.made] == [
        {"total": 5, "initial": 0, "desc": f"epoch {number}", "disable": False} for number in (1, 2)
    ]
    assert [bar.updates for bar in bars.made] == [5, 2] and all(bar.is_closed for bar in bars.made)
    assert [line["step"] for line in metrics(trainer, "train")] == [2, 3, 4, 5, 6, 7]
    assert [path.name[-2:] for path in sorted(trainer.folder.checkpoints.iterdir())] == ["03", "05", "06", "07"]
    assert [line["epoch"] for line in metrics(trainer, "validation")] == [1, 1.4]
    last = metrics(trainer, "train")[-1]["values"]
    expected = {short: f"{last[name]:.3g}" for name, short in loop.SHORT_NAMES.items() if name in last}
    assert bars.made[1].shown == expected and {"rec", "prior", "cls", "acc"} <= expected.keys()
    said = "validation at step 7: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items())
    assert said in bars.lines and trainer.times.keys() == {"cpu_seconds", "wall_seconds"}
    assert drawn == [(trainer.folder.metrics, trainer.folder.curves)]

    again = tiny_trainer(tmp_path, resume="latest", **training)
    assert not again.is_over and again.train() == {} and again.is_over
    assert f"resuming from {again.folder.checkpoints / 'step-00000007'}" in bars.lines
    path = again.folder.checkpoints / "step-00000006"
    from_step = tiny_trainer(tmp_path, resume=str(path), **training)
    from_step.train()
    assert (bars.made[2].settings["initial"], bars.made[2].updates, len(bars.made)) == (1, 1, 3)
    assert_same_weights(weights(from_step), weights(trainer))


def test_the_latest_checkpoint_of_a_new_run_is_its_beginning(tmp_path, bars):
    trainer = tiny_trainer(tmp_path, resume="latest", max_steps=1)
    trainer.train()
    start = f"no checkpoint in {trainer.folder.checkpoints} yet, starting from the beginning"
    assert start in bars.lines and trainer.progress.step == 1
    assert trainer.folder.settings.exists() and trainer.folder.facts.exists()


def test_kl_scale_of_a_step_is_used_and_logged(tmp_path):
    """In a ramp over five steps, the fourth has three steps behind it."""
    schedule = {"kl_schedule": "cyclical", "kl_cycles": 1, "kl_zero_fraction": 0.0, "kl_ramp_fraction": 1.0}
    trainer, scales = tiny_trainer(tmp_path, num_train_epochs=1, **schedule), []
    trainer.model.register_forward_pre_hook(
        lambda module, arguments, keywords: scales.append(keywords["kl_scale"]) if module.training else None,
        with_kwargs=True,
    )
    trainer.train()
    assert scales == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert [line["values"]["kl_scale"] for line in metrics(trainer, "train")] == pytest.approx([0.2, 0.6, 0.8])
    constant = tiny_trainer(tmp_path / "constant", max_steps=1)
    constant.train()
    assert "kl_scale" not in metrics(constant, "train")[0]["values"]


def test_terms_of_a_step_are_means_over_its_examples(tmp_path, monkeypatch):
    """Of micro-batches of 3 and 2, whose weights are their shares; hits are counted among examples with a target."""
    remove_noise(monkeypatch)
    corpus = tiny_corpus(num_train=5, labels="some")
    trainer = tiny_trainer(
        tmp_path, corpus, NOISELESS_MODEL, {"enabled": False}, per_device_train_batch_size=3,
        gradient_accumulation_steps=2, learning_rate=0.0, weight_decay=0.0, num_train_epochs=1,
    )  # fmt: skip
    outputs = []
    trainer.model.register_forward_hook(
        lambda module, arguments, keywords, output: outputs.append((keywords["class_labels"], output)),
        with_kwargs=True,
    )
    (batches,) = trainer.planner.batches_of(next(iter(trainer.examples.shards(0))), 1)
    terms = trainer._train_step(batches)
    sizes = [len(labels) for labels, _ in outputs]
    assert sorted(sizes) == [2, 3]
    for name in ("loss", "reconstruction_loss", "prior_loss"):
        mean = sum(size * getattr(output, name) for size, (_, output) in zip(sizes, outputs, strict=True)) / 5
        torch.testing.assert_close(terms[name], mean.detach())
    known = [labels >= 0 for labels, _ in outputs]
    hits = [
        (output.symbol_logits.argmax(-1)[is_known] == labels[is_known]).sum()
        for (labels, output), is_known in zip(outputs, known, strict=True)
    ]
    assert sum(part.sum() for part in known) == 1
    torch.testing.assert_close(terms["scored"], torch.tensor(1 / 5))
    torch.testing.assert_close(terms["hits"], sum(hits) / 5)


def test_labelled_batches_are_scored_among_themselves(tmp_path):
    corpus = tiny_corpus(labels="some")
    trainer = tiny_trainer(tmp_path, corpus, clustering={"enabled": False}, labelled_batch_size=4)
    batches = next(iter(trainer.planner.batches_of(next(iter(trainer.examples.shards(0))), 1)))
    outputs = []
    trainer.model.register_forward_hook(lambda module, arguments, output: outputs.append(output))
    terms = trainer._train_step(batches)
    torch.testing.assert_close(terms["classification_loss"], outputs[0].classification_loss.detach())
    hits = outputs[0].symbol_logits.argmax(-1) == batches.labelled["class_labels"]
    assert terms["hits"] == hits.float().mean() and terms["scored"] == 1
    assert not any(term.requires_grad for term in terms.values())


def test_validation_scores_that_are_not_finite_are_divergence(tmp_path, monkeypatch):
    trainer = tiny_trainer(tmp_path)
    scores = {"loss": float("nan"), "prior_loss": float("inf"), "reconstruction_loss": 1.0}
    monkeypatch.setattr(loop.Evaluator, "__call__", lambda *_: scores)
    with pytest.raises(DivergenceError, match="step 5: validation prior_loss is inf; no checkpoint had been written"):
        trainer.train()
