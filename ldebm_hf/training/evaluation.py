"""Scores of a model on a held-out split: every loss term, the symbols it infers, and how well its prior fits."""

from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

from ..clustering import align_to_labels
from .batches import TokenizedSplit, to_device
from .randomness import Purpose, generator, seed_noise

LOSS_TERMS = (
    "loss",
    "reconstruction_loss",
    "prior_loss",
    "entropy_loss",
    "mutual_information",
    "classification_loss",
    "energy_positive",
    "energy_negative",
)
GREATER_IS_BETTER = {
    "mutual_information",
    "symbol_accuracy",
    "matched_accuracy",
    "v_measure",
    "symbol_usage_entropy",
    "symbols_used",
}
NUM_PRIOR_SAMPLES = 1000


@dataclass
class Evaluator:
    """Scores a model on a split, the same way however many processes share the work.

    Args:
        split (`TokenizedSplit`): labels are used for scores, never to infer anything.
        symbols_are_labels (`bool`): whether symbols mean the labels because some were trained on; else clusters are
            matched to labels before they are scored.
        batch_size (`int`), seed (`int`): the seed fixes all noise.
    """

    split: TokenizedSplit
    symbols_are_labels: bool
    batch_size: int
    seed: int

    def check_metric(self, name: str) -> None:
        """Raise ValueError if `name` is no score of this split."""
        names = [*self._terms(), "symbol_usage_entropy", "symbols_used", "prior_distance"]
        if (self.split.labels >= 0).any():
            names += ["symbol_accuracy" if self.symbols_are_labels else "matched_accuracy"]
            names += ["v_measure"] if _v_measure_score() else []
        if name not in names:
            raise ValueError(f"metric_for_best_model must, on this corpus, be one of {', '.join(names)}; got {name!r}")

    def _terms(self) -> list[str]:
        """The loss terms; cross-entropy only where symbols can be compared with labels."""
        comparable = self.symbols_are_labels and (self.split.labels >= 0).any()
        return [name for name in LOSS_TERMS if comparable or name != "classification_loss"]

    @torch.no_grad()
    def __call__(self, model, accelerator: Accelerator) -> dict[str, float]:
        """The scores, the same on every process.

        Args:
            model (`LDEBMModel`): the unwrapped model; it is put into evaluation mode.
        """
        model.eval()
        # In random order: the mutual information of a batch is that of the split only if the batch is a sample of it.
        order = generator(self.seed, Purpose.VALIDATION_ORDER).permutation(len(self.split))
        index_lists = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        mine = range(accelerator.process_index, len(index_lists), accelerator.num_processes)
        loader = self.split.batches([index_lists[i] for i in mine], model.config.pad_token_id)
        records = [self._score(model, accelerator, i, batch) for i, batch in zip(mine, loader, strict=True)]
        records = sorted(gather_object(records), key=lambda record: record["batch"])
        scores = [self._summary(model, records) if accelerator.is_main_process else {}]
        return broadcast_object_list(scores)[0]

    def _score(self, model, accelerator: Accelerator, index: int, batch: dict[str, torch.Tensor | list[int]]) -> dict:
        seed_noise(self.seed, Purpose.VALIDATION_BATCH, index)
        device_batch = to_device(batch, accelerator.device)
        text = {name: device_batch[name] for name in ("input_ids", "attention_mask", "lengths")}
        labels = device_batch["class_labels"] if self.symbols_are_labels else None
        with accelerator.autocast():
            output = model(**text, class_labels=labels, skip_logits=True)
            symbols = model.prior.symbol_logits(output.posterior_mean).argmax(-1)
        return {
            "batch": index,
            "terms": [float(getattr(output, name)) for name in self._terms()],
            "symbols": symbols.cpu().numpy(),
            "labels": batch["class_labels"].numpy(),
            "latents": output.latents.float().cpu(),
        }

    def _summary(self, model, records: list[dict]) -> dict[str, float]:
        sizes = np.array([len(record["symbols"]) for record in records])
        known = np.array([(record["labels"] >= 0).sum() for record in records])
        scores = {}
        for column, name in enumerate(self._terms()):
            weights = known if name == "classification_loss" else sizes
            terms = np.array([record["terms"][column] for record in records])
            scores[name] = float((terms * weights).sum() / max(weights.sum(), 1))
        symbols = np.concatenate([record["symbols"] for record in records])
        labels = np.concatenate([record["labels"] for record in records])
        scores |= self._symbol_scores(symbols, labels, model.config.num_labels)
        latents = torch.cat([record["latents"] for record in records])
        chosen = torch.linspace(0, len(latents) - 1, min(len(latents), NUM_PRIOR_SAMPLES)).long()
        seed_noise(self.seed, Purpose.PRIOR_SAMPLES)
        scores["prior_distance"] = energy_distance(
            model.sample_latents(NUM_PRIOR_SAMPLES).float().cpu(), latents[chosen]
        )
        return scores

    def _symbol_scores(self, symbols: np.ndarray, labels: np.ndarray, num_symbols: int) -> dict[str, float]:
        usage = np.bincount(symbols, minlength=num_symbols) / len(symbols)
        used = usage[usage > 0]
        scores = {"symbol_usage_entropy": float((used * -np.log(used)).sum()), "symbols_used": float(len(used))}
        known = labels >= 0
        if known.any():
            name = "symbol_accuracy" if self.symbols_are_labels else "matched_accuracy"
            named = symbols if self.symbols_are_labels else align_to_labels(symbols, labels, num_symbols)
            scores[name] = float((named[known] == labels[known]).mean())
            if score := _v_measure_score():
                scores["v_measure"] = float(score(labels[known], symbols[known]))
        return scores


def energy_distance(first: torch.Tensor, second: torch.Tensor) -> float:
    r"""Distance between the distributions of two samples, 2 E‖X−Y‖ − E‖X−X'‖ − E‖Y−Y'‖; 0 if they are the same.

    Args:
        first (`torch.Tensor` of shape `(n, d)`), second (`torch.Tensor` of shape `(m, d)`).

    Returns:
        `float`: in the units of the vectors; the unbiased estimate, which may be slightly negative.
    """
    first, second = first.double(), second.double()
    within = [_distances(x, x).sum() / max(len(x) * (len(x) - 1), 1) for x in (first, second)]
    return float(2 * _distances(first, second).mean() - within[0] - within[1])


def _distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


def _v_measure_score():
    try:
        from sklearn.metrics import v_measure_score
    except ImportError:
        return None
    return v_measure_score
