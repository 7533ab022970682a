"""Scores of a model on the validation split: the loss terms, the inferred symbols, and the fit of the prior."""

import difflib
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

from ..model.configuration_ldebm import LDEBMConfig
from ..pseudo_labels.geometric_clustering import align_to_labels
from ..scores.distances import energy_distance
from .batches import Batch, Examples, model_inputs, to_device
from .randomness import Purpose, generator, seed_noise
from .settings import Settings

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
NUM_PRIOR_SAMPLES = 1000


def loss_terms(config: LDEBMConfig) -> list[str]:
    """The names of the loss terms that a model has: its prior may lack an energy, symbols and codes, or a latent."""
    absent = set()
    if not config.prior_class.has_energy:
        absent |= {"energy_positive", "energy_negative"}
    if not config.has_symbols:
        absent.add("classification_loss")
    if not config.has_symbols and not config.has_codes:
        absent.add("mutual_information")
    if not config.has_latent:
        absent |= {"prior_loss", "entropy_loss"}
    return [name for name in LOSS_TERMS if name not in absent]


@dataclass
class Evaluator:
    """Scores a model on a split. The scores do not depend on the number of processes that share the work.

    Args:
        split (`Examples`): the split. Its labels are used to score symbols, never to infer them.
        config ([`LDEBMConfig`]): the model's, which decides what scores there are.
        symbols_are_labels (`bool`): whether symbols stand for the labels, because some labels were trained on.
            Otherwise symbols are matched to labels before they are scored.
        batch_size (`int`): number of examples that each process scores at a time.
        seed (`int`): seed of all noise.
    """

    split: Examples
    config: LDEBMConfig
    symbols_are_labels: bool
    batch_size: int
    seed: int

    def with_metric(self, settings: Settings) -> Settings:
        """The settings with a `metric_for_best_model` that this model has on this split.

        If none is given, it is the cross-entropy of the labels where symbols stand for labels (accuracies on few
        labels are often equal), and otherwise the reconstruction loss.

        Raises:
            ValueError: the metric given is no score of this model on this split.
        """
        name = settings.training.metric_for_best_model
        names = self._terms()
        if self.config.has_symbols:
            names += ["symbol_usage_entropy", "symbols_used"]
            if (self.split.labels >= 0).any():
                names += ["symbol_accuracy" if self.symbols_are_labels else "matched_accuracy"]
                names += ["v_measure"] if _v_measure_score() else []
        if self.config.has_latent:
            names.append("prior_distance")
        if not self.config.modality_class.reads_texts:
            names.append("sample_distance")
        if name is None:
            name = "classification_loss" if "classification_loss" in names else "reconstruction_loss"
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise ValueError(
                f"training.metric_for_best_model must be one of {', '.join(names)} for this model and corpus, "
                f"got {name!r}{hint}"
            )
        return replace(settings, training=replace(settings.training, metric_for_best_model=name))

    @property
    def _has_shuffled_loss(self) -> bool:
        """
        Whether the reconstruction loss is also computed with the latents of other texts. If it is no larger then, the
        decoder does not read its latent (posterior collapse).
        """
        return self.config.has_latent and self.config.modality_class.is_autoregressive

    def _terms(self) -> list[str]:
        """The names of the loss terms, with the cross-entropy only where symbols can be compared with labels."""
        comparable = self.symbols_are_labels and (self.split.labels >= 0).any()
        return [name for name in loss_terms(self.config) if comparable or name != "classification_loss"]

    @torch.no_grad()
    def __call__(self, model, accelerator: Accelerator) -> dict[str, float]:
        """The scores by name, the same on every process.

        Args:
            model ([`LDEBMModel`]): the unwrapped model; it is put into evaluation mode.
            accelerator (`Accelerator`): the run's.
        """
        model.eval()
        # In random order, because only a random batch has about the mutual information of the whole split.
        order = generator(self.seed, Purpose.VALIDATION_ORDER).permutation(len(self.split))
        index_lists = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        mine = range(accelerator.process_index, len(index_lists), accelerator.num_processes)
        loader = self.split.batches([index_lists[i] for i in mine])
        records = [self._score(model, accelerator, i, batch) for i, batch in zip(mine, loader, strict=True)]
        records = sorted(gather_object(records), key=lambda record: record["batch"])
        scores = [self._summary(model, records) if accelerator.is_main_process else {}]
        return broadcast_object_list(scores)[0]

    def _score(self, model, accelerator: Accelerator, index: int, batch: Batch) -> dict:
        """The loss terms, symbols and latents of one batch."""
        seed_noise(self.seed, Purpose.VALIDATION_BATCH, index)
        device_batch = to_device(batch, accelerator.device)
        inputs = model_inputs(device_batch)
        labels = device_batch["class_labels"] if self.config.has_symbols and self.symbols_are_labels else None
        record = {"batch": index, "size": len(batch["indices"]), "labels": batch["class_labels"].numpy()}
        with accelerator.autocast():
            output = model(**inputs, class_labels=labels, skip_logits=True)
            if self._has_shuffled_loss and len(output.latents) > 1:
                # A batch is sorted by length, and a latent of a text of another length says more.
                others = output.latents.roll(len(output.latents) // 2, 0)
                record["shuffled"] = -float(model.conditional_log_likelihood(others, **inputs).mean())
            if self.config.has_symbols:
                symbols = model.mean_symbol_logits(output).argmax(-1)
                record["symbols"] = symbols.cpu().numpy()
        if self.config.has_latent:
            record["latents"] = output.latents.float().cpu()
        return record | {"terms": [float(getattr(output, name)) for name in self._terms()]}

    def _summary(self, model, records: list[dict]) -> dict[str, float]:
        """The scores of the whole split, from the records of all batches."""
        sizes = np.array([record["size"] for record in records])
        known = np.array([(record["labels"] >= 0).sum() for record in records])
        scores = {}
        for column, name in enumerate(self._terms()):
            weights = known if name == "classification_loss" else sizes
            terms = np.array([record["terms"][column] for record in records])
            scores[name] = float((terms * weights).sum() / max(weights.sum(), 1))
        shuffled = [(record["shuffled"], record["size"]) for record in records if "shuffled" in record]
        if shuffled:
            terms, weights = np.array(shuffled).T
            scores["shuffled_reconstruction_loss"] = float((terms * weights).sum() / weights.sum())
        if self.config.has_symbols:
            symbols = np.concatenate([record["symbols"] for record in records])
            labels = np.concatenate([record["labels"] for record in records])
            scores |= self._symbol_scores(symbols, labels, self.config.num_labels)
        return scores | self._prior_scores(model, records)

    def _prior_scores(self, model, records: list[dict]) -> dict[str, float]:
        """Energy distances between latents of prior and posterior, and between generated and real points."""
        seed_noise(self.seed, Purpose.PRIOR_SAMPLES)
        scores = {}
        if self.config.has_latent:
            latents = torch.cat([record["latents"] for record in records])
            samples = self._prior_samples(model).float().cpu()
            scores["prior_distance"] = energy_distance(samples, _spread(latents, NUM_PRIOR_SAMPLES))
        if not self.config.modality_class.reads_texts:
            points = model.generate(num_samples=NUM_PRIOR_SAMPLES, do_sample=True).float().cpu()
            data = _spread(torch.from_numpy(self.split.points), NUM_PRIOR_SAMPLES)
            scores["sample_distance"] = energy_distance(points, data)
        return scores

    def _prior_samples(self, model) -> torch.Tensor:
        """Latents of the prior. If texts have contexts, these are evenly spaced contexts of the split."""
        if not self.config.context_size:
            return model.sample_latents(NUM_PRIOR_SAMPLES)
        samples = []
        for indices in _spread(torch.arange(len(self.split)), NUM_PRIOR_SAMPLES).split(self.batch_size):
            inputs = self.split.context_inputs(indices.tolist())
            del inputs["context_lengths"]
            samples.append(model.sample_latents(**inputs))
        return torch.cat(samples)

    def _symbol_scores(self, symbols: np.ndarray, labels: np.ndarray, num_symbols: int) -> dict[str, float]:
        """How many symbols are used, and how well they agree with the labels that are known."""
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


def _spread(vectors: torch.Tensor, size: int) -> torch.Tensor:
    """Evenly spaced rows of a tensor, at most `size` of them."""
    return vectors[torch.linspace(0, len(vectors) - 1, min(len(vectors), size)).long()]


def _v_measure_score():
    """scikit-learn's V-measure, or `None` if scikit-learn is not installed."""
    try:
        from sklearn.metrics import v_measure_score
    except ImportError:
        return None
    return v_measure_score
