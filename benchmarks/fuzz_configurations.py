"""
Random configurations: none may be accepted and then crash when a model is built or takes a step.

    python benchmarks/fuzz_configurations.py --number 5000 --seed 0

Each configuration is that of a tiny model of a random kind with one to four settings changed, to other sensible values
or to nonsense. An accepted one is saved and read, a model is built of it, takes a training step and writes. A refusal
is clear if its error names a setting that was changed.
"""

from __future__ import annotations

import contextlib
import json
import random
import typing
from typing import Any, ClassVar

import torch
from fuzz_methods import NAMES, TINY
from fuzz_outcomes import Outcomes, ascii_only, names_one_of, run_from_command_line, try_request
from huggingface_hub.errors import StrictDataclassError

from ldebm_hf import PRESETS, LDEBMConfig, LDEBMModel
from ldebm_hf.model.modalities import MODALITIES
from ldebm_hf.model.priors import PRIORS

MEMORY = 12_000
"""Limit of the process's memory in mebibytes, which some requests would pass."""
COUNTS = (1, 2, 3, 4, 6, 8)
SHARES = (0, 0.1, 0.5, 0.9, 1, 1.0, 2.0)
NONSENSE = (
    None, True, False, -1, 0, 1.5, -0.0, float("nan"), float("inf"), 1e38, 1e20, 1e-38, 1e-320, 10**9, 2**31, 2**63,
    10**30, 10**400, "", "abc", "1", "nan", "\ud800", [], [1], [0.1, 0.5], [None], ["a"], {}, {"a": 1}, {0: "a"},
    {0: None}, {None: 0}, {"0": "a", "1": "b"}, {1.5: "a"}, {0: ["a"]}, (1, 2), {1, 2}, b"a", 1j, object(),
)  # fmt: skip
INHERITED = (
    "id2label", "label2id", "num_labels", "num_symbols", "problem_type", "architectures", "return_dict", "dtype",
    "output_hidden_states", "output_attentions", "chunk_size_feed_forward", "tie_word_embeddings", "name_or_path",
    "transformers_version", "max_length", "no_such_setting",
)  # fmt: skip


def own_settings() -> dict[str, Any]:
    """The settings that [`LDEBMConfig`] declares, with their types."""
    return {
        name: kind for name, kind in LDEBMConfig.__annotations__.items() if typing.get_origin(kind) is not ClassVar
    }


def base_settings(rng: random.Random) -> dict[str, Any]:
    """The settings of a tiny model of a random kind, which are allowed."""
    while True:
        settings = _drawn_settings(rng)
        with contextlib.suppress(ValueError, StrictDataclassError):  # some do not go together
            LDEBMConfig(**settings)
            return settings


def _drawn_settings(rng: random.Random) -> dict[str, Any]:
    settings = dict(TINY, vocab_size=16, modality=rng.choice(list(MODALITIES)), prior=rng.choice(list(PRIORS)))
    if rng.random() < 0.7:
        settings["id2label"] = dict(NAMES)
    if rng.random() < 0.2:
        settings |= {"context_size": 4}
    if rng.random() < 0.3:
        preset = dict(PRESETS[rng.choice(list(PRESETS))])
        settings = {**preset, **settings}
    return settings


def sensible(rng: random.Random, name: str, kind: Any) -> Any:
    """A value that makes sense for a setting by its type, though perhaps not with the others."""
    options = typing.get_args(kind) if typing.get_origin(kind) is not typing.Literal else (kind,)
    option = rng.choice(options or (kind,))
    if typing.get_origin(option) is typing.Literal:
        return rng.choice(typing.get_args(option))
    if option is bool:
        return rng.random() < 0.5
    if option is int:
        return rng.choice(COUNTS)
    if option is float:
        return rng.choice(SHARES)
    if typing.get_origin(option) is list:
        return [rng.choice(SHARES), rng.choice(SHARES)]
    return rng.choice(NONSENSE)


def random_settings(rng: random.Random) -> tuple[dict[str, Any], set[str]]:
    """Settings of which one to four differ from those of a tiny model, and the names of these."""
    settings, kinds = base_settings(rng), own_settings()
    names = [*kinds, *INHERITED, "id2label", "label2id", "num_labels", "noise_range", "point_center"]
    changed = {rng.choice(names) for _ in range(rng.choice([1, 1, 2, 4]))}
    for name in sorted(changed):
        if name in kinds and rng.random() < 0.7:
            settings[name] = sensible(rng, name, kinds[name])
        else:
            settings[name] = rng.choice(NONSENSE)
    return settings, changed


def use(settings: dict[str, Any], refused: list[Exception]) -> float:
    """The loss of a model of these settings, after it took a step and wrote; errors of the configuration are kept."""
    try:
        config = LDEBMConfig(**settings)
        json.loads(config.to_json_string())
    except Exception as error:
        refused.append(error)
        raise
    torch.manual_seed(0)
    model = LDEBMModel(config)
    inputs: dict[str, Any] = {"input_ids": torch.tensor([[2, 4, 5, 3], [2, 6, 3, 0]]) % config.vocab_size}
    inputs["attention_mask"] = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    if config.modality == "point":
        inputs = {"points": torch.randn(2, config.point_size)}
    if config.context_size:
        inputs["context_input_ids"] = torch.tensor([[[2, 4, 3]], [[2, 5, 3]]]) % config.vocab_size
        inputs["context_attention_mask"] = torch.ones(2, 1, 3)
    if model.has_symbols:
        inputs["class_labels"] = torch.tensor([0, -100])
    loss = model(**inputs, generator=0, return_dict=True).loss
    loss.backward()
    context = {name: value for name, value in inputs.items() if name.startswith("context")}
    options = {} if config.modality == "point" else {"max_new_tokens": 1}
    model.eval().generate(num_samples=2, generator=0, **context, **options)
    return loss.item()


def is_clear(error: Exception, names: set[str], refused: list[Exception]) -> bool:
    """Whether an error is one of the configuration about a value, and names a setting that was changed."""
    is_refusal = isinstance(error, (ValueError, StrictDataclassError)) and error in refused
    return is_refusal and names_one_of(str(error), names)


def run(number: int, seed: int = 0, seconds: int = 30) -> Outcomes:
    """The outcomes of random configurations."""
    rng, outcomes = random.Random(seed), Outcomes()
    for _ in range(number):
        (settings, names), refused = random_settings(rng), []
        if names & {"id2label", "label2id", "num_symbols"}:
            names = names | {"num_labels"}
        base = {**TINY, "vocab_size": 16}
        changed = {name: value for name, value in settings.items() if base.get(name, ...) != value}
        outcome, message = try_request(
            lambda settings=settings, refused=refused: use(settings, refused),
            lambda error, names=names, refused=refused: is_clear(error, names, refused),
            lambda loss: loss == loss and abs(loss) < float("inf"),
            seconds,
        )
        where = "LDEBMConfig" if refused else "accepted, then"
        outcomes.add(outcome, ascii_only(f"{where}({changed})"), ascii_only(message))
    return outcomes


if __name__ == "__main__":
    run_from_command_line(__doc__, run, "configurations", 5000, MEMORY)
