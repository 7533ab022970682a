"""The last step of training a model whose prior is a generator: its fit to the latents of the best model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..model.modeling_ldebm import LDEBMModel
from ..scores.distances import energy_distance
from .batches import Examples, model_inputs, to_device
from .evaluation import NUM_PRIOR_SAMPLES
from .output_folder import OutputFolder
from .training_settings import TrainingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_labels(examples: Examples, prior: str) -> None:
    """Raise ValueError if no training example has a class, to which the generator could be fitted."""
    if not (examples.labels >= 0).any():
        raise ValueError(f"model.prior={prior} is fitted to classes, and no training example has a label")


def fit_prior_of_best(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase | None,
    examples: Examples,
    folder: OutputFolder,
    step: int | None,
    training: TrainingSettings,
) -> dict[str, float]:
    """
    Fit the prior of the best model, unless it is fitted, and save it in `best/` again. The fit depends on the model,
    the examples and the seed alone, so that one that was interrupted is simply done again.

    Args:
        model ([`LDEBMModel`]): The model as training left it, which is fitted if no best one was saved.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): Its tokenizer.
        examples (`Examples`): The training examples, some of them with labels.
        folder ([`OutputFolder`]): The run's.
        step (`int`, *optional*): The step of the best model.
        training ([`TrainingSettings`]): The run's.

    Returns:
        `prior_distance`, the energy distance between latents that the generator draws and those that it was fitted
        to; empty if there was nothing to do.
    """
    best = model
    if step is not None:
        if folder.has_published(step) and folder.problem_of_best(step) is not None:
            return {}  # the published model stays as it is
        best = LDEBMModel.from_pretrained(folder.best, trust_remote_code=training.trust_remote_code).to(model.device)
        if best.config.latent_generator is not None:
            return {}
    latents, labels = labelled_latents(best.eval(), examples, training.per_device_eval_batch_size, training.seed)
    best.fit_adversarial_prior(
        latents,
        labels,
        num_steps=training.adversarial_steps,
        generator=training.seed,
        show_progress=not training.disable_tqdm,
    )
    if step is not None:
        folder.save_best(best, tokenizer, step)
    drawn = best.sample_latents(NUM_PRIOR_SAMPLES, generator=training.seed)
    chosen = torch.linspace(0, len(latents) - 1, min(len(latents), NUM_PRIOR_SAMPLES)).long()
    return {"prior_distance": energy_distance(drawn.float().cpu(), latents.float().cpu()[chosen])}


@torch.no_grad()
def labelled_latents(
    model: LDEBMModel, examples: Examples, batch_size: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    A draw of q(z|x) of every example that has a label, `(n, total_latent_size)`, and the labels, `(n,)`.

    Args:
        model ([`LDEBMModel`]): The model, in evaluation mode.
        examples (`Examples`): The examples.
        batch_size (`int`): Number of examples that are encoded at a time.
        seed (`int`): Seed of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    index_lists = [indices[examples.labels[indices] >= 0] for indices in examples.batches_by_length(batch_size)]
    index_lists = [indices for indices in index_lists if len(indices)]
    latents, labels = [], []
    for batch in examples.batches(index_lists):
        posterior = model.posterior(**model_inputs(to_device(batch, model.device)))
        latents.append(posterior.sample(generator, relaxed=False))
        labels.append(batch["class_labels"])
    return torch.cat(latents), torch.cat(labels)
