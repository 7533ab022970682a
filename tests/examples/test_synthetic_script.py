"""examples/synthetic.py: runs, interruptions, tables and figures, with models that are hardly trained."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from clean_processes import run_python

from ldebm_hf import LDEBMModel
from ldebm_hf.data import POINT_DISTRIBUTIONS
from ldebm_hf.experiments import point_experiment, point_report
from ldebm_hf.experiments.score_tables import table_of_rows
from ldebm_hf.files.packaged import RECIPES
from ldebm_hf.reports.run_record import read_metrics
from ldebm_hf.training import Settings, clock

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "synthetic.py"
SHORT = ["--set", "data.num_points=800", "training.num_train_epochs=2", "training.per_device_train_batch_size=200"]
SHORT += ["model.energy_hidden_size=16", "model.point_hidden_size=16", "model.langevin_steps=2"]


@pytest.fixture
def synthetic(monkeypatch):
    spec = importlib.util.spec_from_file_location("synthetic", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for library in (point_experiment, point_report):
        monkeypatch.setattr(library, "NUM_SAMPLES", 300)
    monkeypatch.setattr(point_experiment, "NUM_COVERAGE_SAMPLES", 100)
    return module


def scores_of(run: Path) -> dict[str, float]:
    return json.loads((run / "scores.json").read_text())["scores"]


def test_experiment_trains_scores_tabulates_and_draws(synthetic, tmp_path, monkeypatch, capsys):
    command = ["--models", "ldebm,vae", "--seeds", "0,1", "--output_dir", str(tmp_path), *SHORT]
    synthetic.main([*command, "--figures_dir", str(tmp_path / "figures")])
    table = (tmp_path / "gaussians" / "table.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    assert [row[0] for row in rows if "---" not in row[0]] == ["model", "true points", "ldebm", "vae"]
    assert rows[2][1] == "16 ± 0"
    assert table in capsys.readouterr().out
    values = json.loads((tmp_path / "gaussians" / "table.json").read_text())
    assert values["ldebm"]["1"] == scores_of(tmp_path / "gaussians" / "ldebm" / "1")
    assert values["ldebm"]["0"] != values["ldebm"]["1"]
    assert "v_measure" in values["ldebm"]["0"] and "v_measure" not in values["vae"]["0"]
    assert values["vae"]["0"]["cpu_seconds"] > 0
    figures = sorted(path.name for path in (tmp_path / "figures").iterdir())
    if figures:  # matplotlib is optional
        assert figures == ["gaussians_densities.png", "gaussians_symbols.png", "gaussians_training.png"]
    curves = point_report.training_curves(tmp_path / "gaussians" / "ldebm" / "0")
    assert [steps for steps, _ in curves.values()] == [[4, 8]] * 3 and "modes covered" in curves
    assert not any("energy" in name for name in point_report.training_curves(tmp_path / "gaussians" / "vae" / "0"))

    def refuse(*arguments, **options):
        raise AssertionError("finished runs must not be trained again")

    monkeypatch.setattr(point_experiment, "PointTrainer", refuse)
    synthetic.main(command)
    assert (tmp_path / "gaussians" / "table.md").read_text() == table
    model = LDEBMModel.from_pretrained(tmp_path / "gaussians" / "vae" / "0" / "final")
    assert model.config.prior == "gaussian" and model.config.point_hidden_size == 16


def test_interrupted_run_goes_on_with_its_clock(synthetic, tmp_path, monkeypatch):
    command = ["--models", "vae", "--train_only", *SHORT, "--output_dir"]
    synthetic.main([*command, str(tmp_path / "whole")])

    original, seconds = point_experiment.PointTrainer.validate, iter(range(0, 10_000, 10))
    monkeypatch.setattr(clock, "now", lambda: np.full(2, float(next(seconds))))

    def interrupted(trainer):
        if trainer.progress.step > 4:
            raise KeyboardInterrupt
        return original(trainer)

    monkeypatch.setattr(point_experiment.PointTrainer, "validate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        synthetic.main([*command, str(tmp_path / "cut")])
    run = tmp_path / "cut" / "gaussians" / "vae" / "0"
    assert not (run / "scores.json").exists()
    monkeypatch.setattr(point_experiment.PointTrainer, "validate", original)
    synthetic.main([*command, str(tmp_path / "cut")])
    first, second = scores_of(tmp_path / "whole" / "gaussians" / "vae" / "0"), scores_of(run)
    assert {name for name in first if first[name] != second[name]} == {"cpu_seconds", "wall_seconds"}
    assert second["cpu_seconds"] == second["wall_seconds"] == 20, "two epochs of 10; the cut one does not count"
    assert [line["step"] for line in read_metrics(run, "study")] == [4, 8]


def test_other_settings_do_not_pass_for_a_finished_run(synthetic, tmp_path, capsys):
    command = ["--models", "vae", "--train_only", "--output_dir", str(tmp_path), *SHORT]
    synthetic.main(command)
    with pytest.raises(SystemExit, match="1 of the runs failed"):
        synthetic.main([*command, "training.learning_rate=0.5"])
    assert "holds a run with another training.learning_rate: remove it" in capsys.readouterr().err


def test_a_run_that_fails_is_reported_and_the_others_go_on(synthetic, tmp_path, monkeypatch, capsys):
    broken = {**point_experiment.with_preset("vae"), "training": {"learning_rate": 1e30}}
    monkeypatch.setitem(point_experiment.MODELS, "broken", broken)
    with pytest.raises(SystemExit, match="1 of the runs failed"):
        synthetic.main(["--models", "broken,vae", "--output_dir", str(tmp_path), *SHORT, "training.logging_steps=1"])
    output = capsys.readouterr()
    assert "failed: gaussians, broken, seed 0: training diverged" in output.err
    assert "\n| vae " in output.out and "\n| broken " not in output.out


@pytest.mark.slow
def test_jobs_run_in_processes_of_their_own(tmp_path):
    """What several at a time do, test_parallel_runs.py checks."""
    run = run_python([SCRIPT, "--models", "vae", "--jobs", "2", "--output_dir", tmp_path, "--train_only", *SHORT])
    assert run.returncode == 0, run.stderr
    folder = tmp_path / "gaussians" / "vae" / "0"
    assert "validation at step 8" in (folder / "run.log").read_text()
    assert scores_of(folder)["x_energy_distance"] > 0


def test_folder_of_a_training_run_is_scored(synthetic, tmp_path, capsys):
    synthetic.main(["--models", "ldebm", "--train_only", "--output_dir", str(tmp_path), *SHORT])
    capsys.readouterr()
    run = tmp_path / "gaussians" / "ldebm" / "0"
    synthetic.main([str(run)])
    output = capsys.readouterr().out
    rows = [line.split("|") for line in output.splitlines() if line.startswith("| ")]
    assert [row[1].strip() for row in rows] == ["model", "true points", "0"] and rows[1][2].strip() == "16"


@pytest.mark.parametrize("data", POINT_DISTRIBUTIONS)
def test_every_model_has_valid_settings_of_its_own(data, tmp_path):
    points = POINT_DISTRIBUTIONS[data].sample(100, 0)[0]
    configs = {}
    for name in point_experiment.MODELS:
        settings = point_experiment.point_run(data, name, 3, RECIPES, tmp_path, {}).settings
        assert settings.training.seed == 3 and settings.training.resume == "latest"
        config = settings.model_config(None, (), points)
        LDEBMModel(config)
        assert config.modality == "point" and config.num_labels == POINT_DISTRIBUTIONS[data].num_modes
        assert config.latent_size == 2
        values = config.to_diff_dict() | {"clustering": repr(settings.clustering)}
        configs[name] = json.dumps(values, sort_keys=True, default=str)
    assert len(set(configs.values())) == len(configs), "two models are the same"


def test_presets_weights_are_not_the_recipes(tmp_path):
    """The recipe's weights are those of the default prior: with them an autoencoder would be a VAE."""
    recipe = yaml.safe_load((RECIPES / "gaussians.yaml").read_text())
    assert recipe["model"]["kl_weight"] > 0

    def weights(name: str) -> tuple[float, float]:
        settings = point_experiment.point_run("gaussians", name, 0, RECIPES, tmp_path, {}).settings
        config = settings.model_config(None, (), POINT_DISTRIBUTIONS["gaussians"].sample(100, 0)[0])
        return config.kl_weight, config.mutual_information_weight

    assert weights("ae") == (0, 0) and weights("vae") == (1, 0)
    assert weights("svebm") == (1, 0) and weights("svebm_ib") == (1, 15)
    assert weights("ldebm") == (recipe["model"]["kl_weight"], recipe["model"]["mutual_information_weight"])
    assert weights("ldebm_published") == (1, 0.05)


def test_changes_come_last(tmp_path):
    changes = {"model": {"kl_weight": "0.5"}}
    settings = point_experiment.point_run("pinwheel", "ae", 0, RECIPES, tmp_path, changes).settings
    assert isinstance(settings, Settings) and settings.model["kl_weight"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "gan"], "unknown model 'gan'"),
        (["--data", "moons"], "unknown data 'moons'"),
        (["--set", "max_steps"], "section.name=value"),
        (["--jobs", "0"], "argument --jobs: must be an integer of at least 1, got 0"),
        (["--seeds", "x"], "--seeds"),
    ],
)
def test_mistakes_on_the_command_line_are_explained(synthetic, capsys, arguments, message):
    with pytest.raises(SystemExit):
        synthetic.main(arguments)
    assert message in capsys.readouterr().err


def test_unknown_setting_stops_before_training(synthetic, tmp_path):
    with pytest.raises(ValueError, match="did you mean"):
        synthetic.main(["--output_dir", str(tmp_path), "--set", "training.learnin_rate=1"])
    assert not list(tmp_path.iterdir())


def test_table_has_means_and_deviations():
    first = {"modes_covered": 16, "off_mode": 0.01, "v_measure": 0.5, "v_measure_chance": 0.02}
    rows = {"a": {"0": first, "1": {"modes_covered": 14, "off_mode": 0.03}}}
    line = table_of_rows(rows, point_report.COLUMNS).splitlines()[2].split("|")
    assert [cell.strip() for cell in line[1:4]] == ["a", "15 ± 1.4", ""]
    assert line[4].strip() == "2 ± 1.4" and line[11].strip() == "0.5 (0.02)"
