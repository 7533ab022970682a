"""The KL weight over a run: an exact function of the step, and what the model is given."""

import json

import pytest
from tiny_runs import assert_same_weights, tiny_trainer, weights

from ldebm_hf.training.annealing import kl_scale
from ldebm_hf.training.settings import Settings, TrainingSettings


def schedule(total_steps: int, **settings) -> list[float]:
    training = TrainingSettings(kl_schedule="cyclical", **settings)
    return [kl_scale(training, step, total_steps) for step in range(total_steps)]


def test_constant_schedule_is_one():
    assert [kl_scale(TrainingSettings(), step, 3) for step in range(3)] == [1, 1, 1]


def test_one_cycle_is_the_usual_warm_up():
    assert schedule(8) == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]


def test_published_baselines_rest_grow_and_stay():
    """Half of a cycle at 0, a quarter of growth, a quarter at 1."""
    expected = [0, 0, 0, 0, 0, 0.5, 1, 1]
    assert schedule(80, kl_cycles=10, kl_zero_fraction=0.5, kl_ramp_fraction=0.25) == expected * 10


def test_cycles_need_not_divide_the_run():
    """10 steps in 4 cycles of 2.5: they begin at steps 0, 2.5, 5 and 7.5."""
    expected = [0, 0.4, 0.8, 0.2, 0.6, 0, 0.4, 0.8, 0.2, 0.6]
    assert schedule(10, kl_cycles=4, kl_ramp_fraction=1.0) == pytest.approx(expected)


def test_without_growth_the_weight_jumps():
    assert schedule(4, kl_zero_fraction=0.5, kl_ramp_fraction=0.0) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"kl_cycles": 3}, "training.kl_cycles=3 has no effect with kl_schedule=constant: use cyclical"),
        ({"kl_zero_fraction": 0.2}, "training.kl_zero_fraction=0.2 has no effect with kl_schedule=constant"),
        ({"kl_ramp_fraction": 0.2}, "training.kl_ramp_fraction=0.2 has no effect with kl_schedule=constant"),
        ({"kl_schedule": "cyclical", "kl_zero_fraction": 0.7}, "kl_zero_fraction=0.7 and kl_ramp_fraction=0.5 must"),
        ({"kl_schedule": "linear"}, "training.kl_schedule must be constant or cyclical"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(training, message):
    with pytest.raises(ValueError, match=message):
        Settings.from_dict({"training": training})


CYCLES = {"kl_schedule": "cyclical", "kl_cycles": 2, "kl_ramp_fraction": 1.0, "num_train_epochs": 2}


def test_model_gets_each_steps_scale_and_the_log_shows_it(tmp_path):
    trainer = tiny_trainer(tmp_path, logging_steps=1, **CYCLES)
    seen = []

    def hook(module, arguments, keywords):
        if module.training:
            seen.append(keywords["kl_scale"])

    trainer.model.register_forward_pre_hook(hook, with_kwargs=True)
    trainer.train()
    assert seen == pytest.approx([0, 0.2, 0.4, 0.6, 0.8] * 2)
    lines = [json.loads(line) for line in trainer.folder.metrics.read_text().splitlines()]
    assert [line["values"]["kl_scale"] for line in lines if line["split"] == "train"] == seen
    assert not any("kl_scale" in line["values"] for line in lines if line["split"] == "validation")


def test_scale_changes_training_and_a_constant_one_is_not_logged(tmp_path):
    annealed, constant = tiny_trainer(tmp_path / "a", max_steps=2, **CYCLES), tiny_trainer(tmp_path / "b", max_steps=2)
    for trainer in (annealed, constant):
        trainer.train()
    name = "encoder.heads.mean.weight"
    assert not weights(annealed)[name].equal(weights(constant)[name])
    assert "kl_scale" not in constant.folder.metrics.read_text()


def test_annealed_run_is_resumed_with_the_very_same_weights(tmp_path):
    whole = tiny_trainer(tmp_path, save_steps=3, save_total_limit=99, **CYCLES)
    whole.train()
    path = whole.folder.checkpoints / "step-00000003"
    resumed = tiny_trainer(tmp_path, save_steps=3, save_total_limit=99, resume=str(path), **CYCLES)
    resumed.train()
    assert_same_weights(weights(resumed), weights(whole))


def test_annealed_run_is_not_resumed_with_another_length_or_schedule(tmp_path):
    tiny_trainer(tmp_path, max_steps=2, **CYCLES).train()
    with pytest.raises(ValueError, match="the number of training steps was 2 and is now 10"):
        tiny_trainer(tmp_path, resume="latest", **CYCLES).train()
    with pytest.raises(ValueError, match="training.kl_cycles was 2 and is now 4"):
        tiny_trainer(tmp_path, max_steps=2, resume="latest", **CYCLES | {"kl_cycles": 4}).train()
