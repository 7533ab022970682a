"""Training of the LSTM language model: SGD, then averaging of the weights (Merity et al., ICLR 2018)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel
from tqdm.auto import tqdm

from .lstm_language_model import (
    IGNORED,
    LanguageModelSettings,
    LSTMLanguageModel,
    distinct_words,
    in_columns,
    load_tensors,
    save_tensors,
)

SEED = 141
SHORT_SHARE, LENGTH_DEVIATION, SHORTEST = 0.05, 5, 5
Weights = dict[str, torch.Tensor]


def train_language_model(
    texts: Sequence[str],
    validation_texts: Sequence[str],
    settings: LanguageModelSettings | None = None,
    *,
    vocabulary: Iterable[str] | None = None,
    seed: int = SEED,
    folder: str | Path | None = None,
    device: str | torch.device | None = None,
    show_progress: bool = False,
) -> LSTMLanguageModel:
    """
    Train a language model on texts in the given order; their words are separated by white space.

    With a `folder`, the trained model is stored there under a hash of texts, settings and seed, and the same call
    loads it again. During training the folder holds a checkpoint of the last epoch, from which a call that was
    interrupted continues, with the same result on the same machine. Two processes must not train the same model.

    Args:
        texts (`Sequence[str]`): At least one text to train on.
        validation_texts (`Sequence[str]`): At least one text, by which the best epoch is selected.
        settings ([`LanguageModelSettings`], *optional*): By default the published ones, which call for a GPU.
        vocabulary (`Iterable[str]`, *optional*): Words of the model; by default those of both sets of texts.
        seed (`int`, *optional*, defaults to 141): Seed of initialisation, dropout and sequence lengths.
        folder (`str` or `Path`, *optional*): Where safetensors files are stored.
        device (*optional*): Device to train on; defaults to an accelerator if there is one.
        show_progress (`bool`, *optional*, defaults to `False`): Whether to show a progress bar.

    Returns:
        The model after its best epoch, in evaluation mode, on the device.

    Raises:
        ValueError: There are no texts.
        RuntimeError: No epoch ended with a finite validation loss.
    """
    settings = settings or LanguageModelSettings()
    for name, given in (("texts", texts), ("validation_texts", validation_texts)):
        if isinstance(given, str) or not len(given):
            raise ValueError(f"{name} must be a list of at least one string, got {given!r}")
    if device is None:
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    device = torch.device(device)
    words = distinct_words(texts, validation_texts) if vocabulary is None else set(vocabulary)
    call = {"settings": asdict(settings), "vocabulary": sorted(words), "seed": seed}
    digest = hashlib.sha256(json.dumps([call, list(texts), list(validation_texts)]).encode()).hexdigest()
    path = None if folder is None else Path(folder) / f"{digest[:16]}.safetensors"
    if path is not None and path.exists():
        return LSTMLanguageModel.load(path).to(device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        _seed(seed)
        model = LSTMLanguageModel(words, settings).to(device)
        training = _Training(model, seed, None if path is None else path.with_suffix(".epochs.safetensors"))
        training.run(texts, validation_texts, show_progress)
    if training.best is None:
        raise RuntimeError(f"no epoch of the language model has a finite validation loss: {training.losses}")
    model.load_state_dict(training.best)
    if path is not None:
        model.save(path)
        training.checkpoint.unlink()
    return model.eval()


class _Training:
    """The state of a training run: weights, their average, validation losses and the best weights."""

    def __init__(self, model: LSTMLanguageModel, seed: int, checkpoint: Path | None):
        self.model, self.settings, self.seed = model, model.settings, seed
        self.checkpoint = checkpoint
        self.optimizer = torch.optim.SGD(model.parameters(), weight_decay=self.settings.weight_decay)
        self.average: AveragedModel | None = None
        self.losses: list[float] = []
        self.best: Weights | None = None
        if checkpoint is not None and checkpoint.exists():
            self._restore()

    def run(self, texts: Sequence[str], validation_texts: Sequence[str], show_progress: bool) -> None:
        """Train for the remaining epochs."""
        model, device = self.model, self.model.bias.device
        columns = [part.to(device) for part in in_columns(model.encode(texts), self.settings.batch_size)]
        validation = model.encode(validation_texts)
        for epoch in range(len(self.losses), self.settings.num_epochs):
            rng = _seed(self.seed, epoch)
            with tqdm(
                total=len(columns[0]),
                desc=f"language model, epoch {epoch + 1} of {self.settings.num_epochs}",
                unit=" words",
                unit_scale=columns[0].shape[1],
                disable=not show_progress,
            ) as bar:
                self._train_epoch(*columns, rng, bar)
            judged = model if self.average is None else self.average.module
            loss = judged.nats(validation) / (len(validation) - 1)
            loss = loss if math.isfinite(loss) else math.inf
            if loss < min(self.losses, default=math.inf):
                self.best = {name: tensor.clone() for name, tensor in judged.state_dict().items()}
            if self.average is None and loss > min(self.losses[: -self.settings.averaging_patience], default=loss):
                self.average = AveragedModel(model)
            self.losses.append(loss)
            if show_progress:
                tqdm.write(f"language model, epoch {epoch + 1}: validation perplexity {math.exp(min(loss, 99)):.5g}")
            self._save()

    def _train_epoch(self, inputs: torch.Tensor, targets: torch.Tensor, rng: np.random.Generator, bar: tqdm) -> None:
        settings, state, start = self.settings, None, 0
        self.model.train()
        while start < len(inputs):
            length = _sequence_length(settings.sequence_length, rng)
            part = slice(start, start + length)
            self.optimizer.param_groups[0]["lr"] = settings.learning_rate * length / settings.sequence_length
            logits, dropped, plain, state = self.model(inputs[part], state)
            loss = F.cross_entropy(logits.flatten(0, 1), targets[part].flatten(), ignore_index=IGNORED)
            loss = loss + settings.activation_penalty * dropped.square().mean()
            if len(plain) > 1:
                loss = loss + settings.change_penalty * plain.diff(dim=0).square().mean()
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.max_grad_norm)
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.model)
            bar.update(len(plain))
            start += length

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        parts = {"model": self.model.state_dict(), "best": self.best or {}}
        if self.average is not None:
            parts["average"] = self.average.state_dict()
        tensors = {f"{part}/{name}": tensor for part, state in parts.items() for name, tensor in state.items()}
        save_tensors(self.checkpoint, tensors, {"losses": json.dumps(self.losses)})

    def _restore(self) -> None:
        tensors, description = load_tensors(self.checkpoint)
        parts: dict[str, Weights] = {}
        for name, tensor in tensors.items():
            part, _, rest = name.partition("/")
            parts.setdefault(part, {})[rest] = tensor.to(self.model.bias.device)
        self.model.load_state_dict(parts["model"])
        self.losses, self.best = json.loads(description["losses"]), parts.get("best")
        if "average" in parts:
            self.average = AveragedModel(self.model)
            self.average.load_state_dict(parts["average"])


def _seed(*place: int) -> np.random.Generator:
    """Seed torch for one epoch, so that no generator state needs to be stored, and return a generator of its own."""
    rng = np.random.default_rng(place)
    torch.manual_seed(int(rng.integers(2**63)))
    return rng


def _sequence_length(mean: int, rng: np.random.Generator) -> int:
    """A random number of words until the next update, so that sequences start elsewhere in every epoch."""
    center = mean / 2 if rng.random() < SHORT_SHARE else mean
    return max(SHORTEST, int(rng.normal(center, LENGTH_DEVIATION)))
