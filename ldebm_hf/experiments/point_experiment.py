"""The experiment with priors on points of the plane: the models that are compared, and how each is trained and scored.

The paper's Figures 2 and 3 show such models; the published code has no scores for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..data import POINT_DISTRIBUTIONS, PointSplit
from ..files.atomic import replace_folder
from ..scores import draw_samples, mode_scores, score_samples
from ..scores.point_models import NUM_STDS
from ..training import Trainer, assemble
from .experiment_runs import Changes, ExperimentRun, Scores, merge_changes, read_recipe


def with_preset(name: str, **model: Any) -> Changes:
    """Return the settings of a baseline: its own prior and weights, and no symbols from clustering."""
    return {"model": {"preset": name, **model}, "clustering": {"enabled": False}}


# By name, the settings in which a model differs from the data set's recipe. A model with another preset keeps only
# `ARCHITECTURE` of the recipe's model. All weights of the KL term are 1, which is the evidence lower bound, except in
# models without that term. SVEBM samples as published for points: 100 steps of 0.4, one hidden layer.
SVEBM = {"kl_weight": 1.0, "energy_hidden_size": 200, "energy_num_blocks": 1, "langevin_steps": 100,
         "langevin_step_size": 0.16}  # fmt: skip
BASELINES: dict[str, Changes] = {
    "ldebm": {},
    "ldebm_without_clustering": {"clustering": {"enabled": False}},
    "svebm": with_preset("svebm", **SVEBM),
    "svebm_ib": with_preset("svebm_ib", **SVEBM, mutual_information_weight=15.0),
    **{name: with_preset(name) for name in ("ae", "dae", "vae", "dvae", "gm_vae", "gm_vae_i", "dgm_vae", "dgm_vae_i")},
    **{name: with_preset(name) for name in ("semi_vae", "semi_vae_i", "discrete_ae", "discrete_vae", "di_vae")},
}
ABLATIONS: dict[str, Changes] = {
    # What the published experiment on points ran, but for its length, its batches and its larger energy network.
    "ldebm_published": {
        "model": {"preset": "published", "kl_weight": 1.0, "mutual_information_weight": 0.05,
                  "classification_weight": 0.05, "entropy_threshold": None, "uniform_init_range": None},
        "clustering": {"balanced_resampling": True, "normalize": True, "match_previous": False},
    },
    # F / s² in the sampler and F in the loss, as published; then F / s² in both.
    "ldebm_published_energy_scale": {"model": {"energy_temperature": "step", "level_weighting": "published"}},
    "ldebm_step_temperature": {"model": {"energy_temperature": "step"}},
    "ldebm_inexact_encoder_gradient": {"model": {"log_normalizer_gradient": False, "terminal_prior": False}},
    "ldebm_entropy_mask": {"model": {"entropy_threshold": 1.0}},
    "ldebm_spectral_norm": {"model": {"energy_spectral_norm": True}},
    "ldebm_free_scale": {"model": {"normalize_posterior": False, "energy_spectral_norm": True}},
    "svebm_fixed_scale": with_preset("svebm", **SVEBM, normalize_posterior=True),
    "ldebm_mean_features": {"clustering": {"features": "mean"}},
    "ldebm_unit_features": {"clustering": {"normalize": True}},
    "ldebm_balanced_resampling": {"clustering": {"balanced_resampling": True}},
}  # fmt: skip
MODELS = BASELINES | ABLATIONS
ARCHITECTURE = ("modality", "num_symbols", "latent_size", "point_", "energy_hidden_size", "energy_num_blocks")
"""Beginnings of the names of the recipe's settings that a model with another preset keeps."""

COVERAGE = "study"
"""The split of the lines in `metrics.jsonl` that say how many modes samples cover."""
SAMPLES_FILE = "samples.npz"
NUM_SAMPLES = 10_000
NUM_COVERAGE_SAMPLES = 2000


class PointTrainer(Trainer):
    """A trainer that also logs, at every validation, how many modes of the distribution samples cover."""

    def validate(self) -> dict[str, float]:
        values = super().validate()
        distribution = POINT_DISTRIBUTIONS.get(self.settings.data.source)
        if distribution is not None:
            progress = self.progress
            generator = torch.Generator(self.model.device).manual_seed(self.training.seed)
            points = self.model.generate(num_samples=NUM_COVERAGE_SAMPLES, do_sample=True, generator=generator)
            assignments = distribution.assign(points.cpu().numpy(), num_stds=NUM_STDS)
            modes = vars(mode_scores(assignments, distribution.weights))
            self.metrics.write(progress.step, progress.step / self.steps_per_epoch, COVERAGE, modes)
        return values


def point_run(data: str, model: str, seed: int, recipes: Path, folder: Path, changes: Changes) -> ExperimentRun:
    """
    Make a run of the experiment.

    Args:
        data (`str`): Name of the distribution of points, and of its recipe.
        model (`str`): One of `MODELS`.
        seed (`int`): Seed of the run.
        recipes (`Path`): Folder of the recipes.
        folder (`Path`): Folder of the experiment; the run has `folder`/data/model/seed.
        changes (`dict`): Settings that come before those of recipe and model.
    """
    recipe = read_recipe(recipes / f"{data}.yaml")
    if "preset" in MODELS[model].get("model", {}):
        recipe["model"] = {name: value for name, value in recipe["model"].items() if name.startswith(ARCHITECTURE)}
    settings = merge_changes(recipe, MODELS[model], {"training": {"save_total_limit": 1}}, changes)
    return ExperimentRun.from_changes(model, seed, folder / data / model / str(seed), settings)


def train_and_score(run: ExperimentRun) -> Scores:
    """Train a run's model and score it; the final model and its samples are kept in the run's folder."""
    model, tokenizer, corpus = assemble(run.settings)
    trainer = PointTrainer(model, tokenizer, corpus, run.settings)
    trainer.train()
    replace_folder(run.folder / "final", model.save_pretrained)
    distribution = POINT_DISTRIBUTIONS.get(run.settings.data.source)
    samples = draw_samples(model, points_to_score_on(distribution), NUM_SAMPLES, run.seed)
    samples.save(run.folder / SAMPLES_FILE)
    return score_samples(samples, distribution, run.seed) | trainer.times


def points_to_score_on(distribution) -> PointSplit:
    """Draw points that were used neither for training nor for selection, the same for every run."""
    return PointSplit(*distribution.sample(NUM_SAMPLES, [0, 4]))
