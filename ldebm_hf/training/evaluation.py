"""Scores of a model on a held-out split: every loss term, the symbols it infers, and how well its prior fits."""

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
    """Those of the loss terms that a model has, as its prior has an energy, symbols or codes, or a latent at all."""
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
    """Scores a model on a split, the same way however many processes share the work.

    Args:
        split (`Examples`): labels are used for scores, never to infer anything.
        config (`LDEBMConfig`): the model's; decides which scores there are.
        symbols_are_labels (`bool`): whether symbols mean the labels because some were trained on; else clusters are
            matched to labels before they are scored.
        batch_size (`int`), seed (`int`): the seed fixes all noise.
    """

    split: Examples
    config: LDEBMConfig
    symbols_are_labels: bool
    batch_size: int
    seed: int

    def with_metric(self, settings: Settings) -> Settings:
        """
        The settings with the score that selects a model: by default the cross-entropy of labels where symbols mean
        them (of a few, accuracies are often the same), else the reconstruction loss. ValueError for what is no score
        of this model on this split.
        """
        name = settings.training.metric_for_best_model
        names = self._terms()
        if self.config.has_symbols:
            names += ["symbol_usage_entropy", "symbols_used"]
            if (self.split.labels >= 0).any():
                names += ["symbol_accuracy" if self.symbols_are_labels else "matched_accuracy"]
                names += ["v_measure"] if _v_measure_score() else []
        names += ["prior_distance"] if self.config.has_latent else []
        names += ["sample_distance"] if not self.config.modality_class.reads_texts else []
        if name is None:
            name = "classification_loss" if "classification_loss" in names else "reconstruction_loss"
        if name not in names:
            raise ValueError(
                f"metric_for_best_model must, for this model and corpus, be one of {', '.join(names)}; got {name!r}"
            )
        return replace(settings, training=replace(settings.training, metric_for_best_model=name))

    def _terms(self) -> list[str]:
        """The loss terms; cross-entropy only where symbols can be compared with labels."""
        comparable = self.symbols_are_labels and (self.split.labels >= 0).any()
        return [name for name in loss_terms(self.config) if comparable or name != "classification_loss"]

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
        loader = self.split.batches([index_lists[i] for i in mine])
        records = [self._score(model, accelerator, i, batch) for i, batch in zip(mine, loader, strict=True)]
        records = sorted(gather_object(records), key=lambda record: record["batch"])
        scores = [self._summary(model, records) if accelerator.is_main_process else {}]
        return broadcast_object_list(scores)[0]

    def _score(self, model, accelerator: Accelerator, index: int, batch: Batch) -> dict:
        seed_noise(self.seed, Purpose.VALIDATION_BATCH, index)
        device_batch = to_device(batch, accelerator.device)
        inputs = model_inputs(device_batch)
        labels = device_batch["class_labels"] if self.config.has_symbols and self.symbols_are_labels else None
        record = {"batch": index, "size": len(batch["indices"]), "labels": batch["class_labels"].numpy()}
        with accelerator.autocast():
            output = model(**inputs, class_labels=labels, skip_logits=True)
            if self.config.has_symbols:
                symbols = model.mean_symbol_logits(output).argmax(-1)
                record["symbols"] = symbols.cpu().numpy()
        if self.config.has_latent:
            record["latents"] = output.latents.float().cpu()
        return record | {"terms": [float(getattr(output, name)) for name in self._terms()]}

    def _summary(self, model, records: list[dict]) -> dict[str, float]:
        sizes = np.array([record["size"] for record in records])
        known = np.array([(record["labels"] >= 0).sum() for record in records])
        scores = {}
        for column, name in enumerate(self._terms()):
            weights = known if name == "classification_loss" else sizes
            terms = np.array([record["terms"][column] for record in records])
            scores[name] = float((terms * weights).sum() / max(weights.sum(), 1))
        if self.config.has_symbols:
            symbols = np.concatenate([record["symbols"] for record in records])
            labels = np.concatenate([record["labels"] for record in records])
            scores |= self._symbol_scores(symbols, labels, self.config.num_labels)
        return scores | self._prior_scores(model, records)

    def _prior_scores(self, model, records: list[dict]) -> dict[str, float]:
        """Energy distances: of the prior's latents to the posterior's, and of its points to the split's."""
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
        """Latents of the prior; where texts have contexts, for those of the split, evenly spaced."""
        if not self.config.context_size:
            return model.sample_latents(NUM_PRIOR_SAMPLES)
        samples = []
        for part in _spread(torch.arange(len(self.split)), NUM_PRIOR_SAMPLES).split(self.batch_size):
            inputs = self.split.context_inputs(part.tolist())
            del inputs["context_lengths"]
            samples.append(model.sample_latents(**inputs))
        return torch.cat(samples)

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


def _spread(vectors: torch.Tensor, size: int) -> torch.Tensor:
    """At most `size` of the rows, evenly spaced."""
    return vectors[torch.linspace(0, len(vectors) - 1, min(len(vectors), size)).long()]


def _v_measure_score():
    try:
        from sklearn.metrics import v_measure_score
    except ImportError:
        return None
    return v_measure_score
