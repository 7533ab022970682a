"""The public methods of tiny models and pipelines, with valid values of their arguments."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import torch

from ldebm_hf import (
    LDEBMConfig,
    LDEBMForSequenceClassification,
    LDEBMModel,
    LDEBMPipeline,
    TextClassifier,
    TextClassifierConfig,
    build_document_tokenizer,
    build_subword_tokenizer,
    build_tokenizer,
)
from ldebm_hf.likelihood.bounds import estimate_log_likelihood, importance_weighted_bound

NAMES = {0: "good", 1: "bad", 2: "neutral"}
TINY = {
    "embedding_size": 8,
    "encoder_hidden_size": 8,
    "decoder_hidden_size": 8,
    "document_hidden_size": 8,
    "point_hidden_size": 8,
    "context_hidden_size": 4,
    "latent_size": 4,
    "energy_hidden_size": 8,
    "energy_num_blocks": 1,
    "num_levels": 2,
    "langevin_steps": 2,
}
MODELS: dict[str, dict[str, Any]] = {
    "diffusion": {"id2label": NAMES},
    "one level": {"id2label": NAMES, "num_levels": 1},
    "gaussian": {"prior": "gaussian"},
    "mixture": {"prior": "mixture", "id2label": NAMES},
    "semi": {"prior": "semi", "id2label": NAMES},
    "language model": {"prior": "none"},
    "contexts": {"id2label": NAMES, "context_size": 4, "speaker_markers": "none"},
    "documents": {"modality": "document", "id2label": NAMES},
    "points": {"modality": "point", "id2label": NAMES},
}
ROOT = Path(__file__).resolve().parents[1]
WORDS = "a b c d e f g h the food was great"
TEXTS = ["a b c", "the food was great", "d e f g h"]


@dataclass(frozen=True)
class Method:
    """
    A function of the API.

    Args:
        name (`str`): What the report calls it.
        function (`Callable`): The function.
        valid (`dict[str, Callable]`): For arguments by name, a function that draws a valid value.
        required (`tuple[str, ...]`): The arguments that every call has.
    """

    name: str
    function: Callable[..., Any]
    valid: dict[str, Callable[[], Any]]
    required: tuple[str, ...] = ()

    def argument_names(self) -> set[str]:
        """All names that a refusal may mention."""
        return {*inspect.signature(self.function).parameters, *self.valid} - {"self", "model"}


class Workshop:
    """The tiny models, and the methods that are called."""

    def __init__(self, seed: int = 0):
        torch.manual_seed(seed)
        self.tokenizer = build_tokenizer([WORDS], max_length=12)
        self.documents = build_document_tokenizer([WORDS], min_letters=1, stop_words="none")
        self.models, self.pipelines = {}, {}
        for name, settings in MODELS.items():
            tokenizer = self.documents if settings.get("modality") == "document" else self.tokenizer
            config = LDEBMConfig(**{**TINY, "vocab_size": len(tokenizer), **settings})
            self.models[name] = LDEBMModel(config).eval()
            if name != "points":
                self.pipelines[name] = LDEBMPipeline(self.models[name], tokenizer, device="cpu")
        self.tokenizers = dict.fromkeys(self.models, self.tokenizer)
        tiny = run_path(str(ROOT / "tests" / "tiny_base_models.py"))
        for name, base_models in (("pretrained encoder", ("bert",)), ("pretrained", ("bert", "gpt2"))):
            model, tokenizer = tiny["pretrained_model"](*(tiny[one]() for one in base_models))
            self.models[name], self.tokenizers[name] = model, tokenizer
            self.pipelines[name] = LDEBMPipeline(model, tokenizer, device="cpu")
        config = LDEBMConfig(**TINY, vocab_size=len(self.tokenizer), id2label=NAMES)
        self.sequence_classifier = LDEBMForSequenceClassification(config).eval()
        sizes = {"vocab_size": len(self.tokenizer), "embedding_size": 4, "hidden_size": 4, "num_labels": 3}
        self.judge = TextClassifier(TextClassifierConfig(**sizes)).eval()

    def methods(self, rng: random.Random) -> list[Method]:
        """Every method of every model that it makes sense for."""
        found = [
            Method("build_tokenizer", build_tokenizer, _building(rng), ("texts",)),
            Method("build_subword_tokenizer", build_subword_tokenizer, _building(rng, 300), ("texts",)),
            Method("build_document_tokenizer", build_document_tokenizer, _building_documents(rng), ("texts",)),
            Method("LDEBMConfig.from_preset", LDEBMConfig.from_preset, _preset(rng), ("preset",)),
            Method(
                "TextClassifier.forward", self.judge, _tokens(rng, self.judge.config) | _labels(rng), ("input_ids",)
            ),
            Method(
                "LDEBMForSequenceClassification.forward",
                self.sequence_classifier,
                _tokens(rng, self.sequence_classifier.config) | _labels(rng),
                ("input_ids",),
            ),
        ]
        for name, model in self.models.items():
            found += _methods_of_model(rng, name, model, self.tokenizers[name])
        for name, pipe in self.pipelines.items():
            found += _methods_of_pipeline(rng, name, pipe)
        return found


def _building(rng: random.Random, vocab_size: int = 20) -> dict[str, Callable[[], Any]]:
    return {
        "texts": lambda: list(TEXTS),
        "vocab_size": lambda: vocab_size,
        "lowercase": lambda: rng.random() < 0.5,
        "max_length": lambda: 12,
        "markers": lambda: ["<usr>"],
    }


def _building_documents(rng: random.Random) -> dict[str, Callable[[], Any]]:
    return {
        "texts": lambda: list(TEXTS),
        "vocab_size": lambda: 20,
        "stop_words": lambda: rng.choice(["english", "none", ["a"]]),
        "min_letters": lambda: 1,
        "max_letters": lambda: 10,
        "max_length": lambda: 20,
    }


def _preset(rng: random.Random) -> dict[str, Callable[[], Any]]:
    return {
        "preset": lambda: "published",
        "latent_size": lambda: 4,
        "num_symbols": lambda: 3,
        "dropout": lambda: 0.1,
        "label_guidance": lambda: 2.0,
        "energy_spectral_norm": lambda: True,
        "noise_range": lambda: [0.1, 0.5],
    }


def _tokens(rng: random.Random, config) -> dict[str, Callable[[], Any]]:
    def ids() -> torch.Tensor:
        return torch.tensor([[2, 4, 5, 6, 3], [2, 7, 4, 3, 0], [2, 5, 3, 0, 0]])

    return {"input_ids": ids, "attention_mask": lambda: (ids() != 0).long()}


def _labels(rng: random.Random) -> dict[str, Callable[[], Any]]:
    return {"labels": lambda: torch.tensor([0, 2, -100])}


def _inputs(rng: random.Random, model: LDEBMModel) -> dict[str, Callable[[], Any]]:
    if model.config.modality == "point":
        return {"points": lambda: torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]])}
    inputs = _tokens(rng, model.config)
    if model.config.modality == "text":
        inputs |= {"lengths": lambda: [5, 4, 3]}
    return inputs | _context(model)


def _context(model: LDEBMModel) -> dict[str, Callable[[], Any]]:
    if not model.config.context_size:
        return {}
    turns = torch.tensor([[[2, 4, 3], [2, 3, 0]], [[2, 3, 0], [2, 5, 3]], [[2, 3, 0], [2, 5, 3]]])
    return {"context_input_ids": lambda: turns.clone(), "context_attention_mask": lambda: (turns != 0).long()}


def _sampling(rng: random.Random, model: LDEBMModel) -> dict[str, Callable[[], Any]]:
    arguments: dict[str, Callable[[], Any]] = {
        "num_samples": lambda: 3,
        "generator": lambda: rng.choice([0, torch.Generator().manual_seed(1)]),
    }
    if model.has_symbols:
        arguments["class_labels"] = lambda: rng.choice([1, "good", ["bad", 2, 0], torch.tensor([0, 1, 2])])
    usual = {"guidance_scale": 2.0, "num_langevin_steps": 3, "sampler": "langevin", "num_proposals": None}
    for name in model.prior.sampling_options:
        arguments[name] = partial(usual.get, name)
    return arguments


def _decoding(rng: random.Random) -> dict[str, Callable[[], Any]]:
    return {
        "max_new_tokens": lambda: 5,
        "do_sample": lambda: True,
        "temperature": lambda: 0.7,
        "top_k": lambda: 5,
        "top_p": lambda: 0.9,
        "num_beams": lambda: 2,
        "num_return_sequences": lambda: 1,
        "repetition_penalty": lambda: 1.2,
        "suppress_tokens": lambda: [1],
        "decoder_input_ids": lambda: torch.tensor([[2, 4], [2, 4], [2, 4]]),
    }


def _methods_of_model(rng: random.Random, name: str, model: LDEBMModel, tokenizer) -> list[Method]:
    config, inputs, sampling = model.config, _inputs(rng, model), _sampling(rng, model)
    data = model.modality.input_name
    context = tuple(_context(model))[:1]
    required = (data, *context)
    latents = {"latents": lambda: torch.randn(3, config.total_latent_size)}
    symbols = {"class_labels": lambda: torch.tensor([0, 1, -100])} if model.has_symbols else {}
    training = {"generator": lambda: 0, "kl_scale": lambda: 0.5, "skip_logits": lambda: False}
    if config.encoder == "pretrained":
        training["encoder_features"] = lambda: torch.randn(3, model.encoder.pooling.num_features)
    diagnostics = {"return_diagnostics": lambda: True} if model.prior.has_energy else {}
    methods = [
        Method(f"{name}: forward", model, inputs | symbols | training, required),
        Method(f"{name}: sample_latents", model.sample_latents, sampling | {
            "batch_size": lambda: 2, "return_trajectory": lambda: True, "show_progress": lambda: False
        } | diagnostics | _context(model), context),
        Method(f"{name}: generate", model.generate, sampling | _context(model) | _options(rng, model), context),
        Method(f"{name}: generate latents", model.generate, latents | _context(model) | _options(rng, model),
               ("latents", *context)),
        Method(f"{name}: conditional_log_likelihood", model.conditional_log_likelihood, latents | inputs,
               ("latents", *required)),
    ]  # fmt: skip
    if config.has_latent:
        methods += [
            Method(f"{name}: generate inputs", model.generate, {
                key: value for key, value in inputs.items() if key != "lengths"
            } | _options(rng, model), required),
            Method(f"{name}: encode", model.encode, inputs, required),
            Method(f"{name}: reconstruction_latents", model.reconstruction_latents, {
                key: value for key, value in inputs.items() if key != "lengths"
            }, required),
        ]  # fmt: skip
    if model.has_symbols:
        methods += [
            Method(f"{name}: infer_symbols", model.infer_symbols, inputs, required),
            Method(f"{name}: symbol_ids", model.symbol_ids, {"class_labels": sampling["class_labels"]},
                   ("class_labels",)),
        ]  # fmt: skip
    if model.modality.reads_texts and not config.context_size and model.has_symbols:
        reading = {"texts": lambda: list(TEXTS), "tokenizer": lambda: tokenizer, "batch_size": lambda: 2}
        methods.append(Method(f"{name}: classify", model.classify, reading | {"top_k": lambda: 2},
                              ("texts", "tokenizer")))  # fmt: skip
        methods.append(Method(f"{name}: explain", model.explain, reading | {
            "num_words": lambda: 2, "num_texts": lambda: 1, "num_samples": lambda: 1, "word_score": lambda: "ctfidf",
            "generator": lambda: 0,
        }, ("texts", "tokenizer")))  # fmt: skip
    if config.context_size:
        methods.append(Method(f"{name}: respond", model.respond, {
            "turns": lambda: ["a b", "c d"], "tokenizer": lambda: tokenizer, "num_candidates": lambda: 2,
            "one_per_symbol": lambda: False,
        } | sampling, ("turns", "tokenizer")))  # fmt: skip
    if config.modality == "text" and not config.context_size:
        guided = {key: value for key, value in sampling.items() if key == "guidance_scale"}
        if model.has_symbols:
            guided["class_labels"] = lambda: 1
        counts = {
            "num_return_sequences": lambda: 1, "num_chains": lambda: 2, "num_encoder_rounds": lambda: 1,
            "num_rounds": lambda: 1, "num_steps": lambda: 2, "num_beams": lambda: 4, "max_span_length": lambda: 2,
            "suppress_tokens": lambda: [5], "allow_fewer": lambda: True, "generator": lambda: 0,
        }  # fmt: skip
        methods += [
            Method(f"{name}: complete", model.complete, {
                "input_ids": lambda: torch.tensor([[2, 1, 4, 3], [2, 5, 1, 3]]),
                "attention_mask": lambda: torch.ones(2, 4), "mask_token_id": lambda: 1, "span_token_id": lambda: 100,
            } | counts | guided, ("input_ids",)),
            Method(f"{name}: complete_texts", model.complete_texts, {
                "texts": lambda: ["a <mask> c", "<span> food"], "tokenizer": lambda: tokenizer,
                "batch_size": lambda: 2,
            } | counts | guided, ("texts", "tokenizer")),
        ]  # fmt: skip
    if name in ("diffusion", "gaussian", "mixture", "points"):
        single = {key: value for key, value in inputs.items()}
        methods.append(Method(
            f"{name}: importance_weighted_bound", lambda **given: importance_weighted_bound(model, **given),
            single | {"num_samples": lambda: 2, "generator": lambda: 0}, (data,),
        ))  # fmt: skip
        methods.append(Method(
            f"{name}: estimate_log_likelihood", lambda **given: estimate_log_likelihood(model, **given),
            single | {"generator": lambda: 0}, (data,),
        ))  # fmt: skip
    return methods


def _options(rng: random.Random, model: LDEBMModel) -> dict[str, Callable[[], Any]]:
    """Options of decoding that a model has."""
    options = _decoding(rng)
    if model.modality.is_autoregressive:
        return options
    return {name: options[name] for name in model.modality.generation_options}


def _methods_of_pipeline(rng: random.Random, name: str, pipe: LDEBMPipeline) -> list[Method]:
    model, name = pipe.model, f"pipeline of {name}"
    texts = {"texts": lambda: rng.choice([list(TEXTS), "a b c"]), "batch_size": lambda: 2}
    if model.config.context_size:
        return [Method(f"{name}: respond", pipe.respond, {
            "turns": lambda: ["a b", {"role": "user", "content": "c d"}], "num_samples": lambda: 2,
        } | _sampling(rng, model), ("turns",))]  # fmt: skip
    writing = {"num_texts": lambda: 2, "batch_size": lambda: 2, "generator": lambda: 0}
    if model.has_symbols:
        writing |= {"symbols": lambda: rng.choice(["good", [0, 1]])}
    if model.modality.is_autoregressive:
        writing |= {"prompt": lambda: "a b", "max_new_tokens": lambda: 5, "temperature": lambda: 0.5}
        if model.has_symbols:
            writing |= {"min_label_probability": lambda: 0.2}
    methods = [
        Method(f"{name}: write", pipe.write, writing),
        Method(f"{name}: write_and_read", pipe.write_and_read, writing),
    ]
    if model.modality.is_autoregressive:
        methods.append(Method(f"{name}: call", pipe, {
            "inputs": lambda: rng.choice(["a b", ["a", "b"]]), "num_return_sequences": lambda: 2,
        }, ("inputs",)))  # fmt: skip
    if model.config.has_latent:
        methods += [
            Method(f"{name}: latents", pipe.latents, texts, ("texts",)),
            Method(f"{name}: read", pipe.read, texts, ("texts",)),
            Method(f"{name}: neighbours", pipe.neighbours, {
                "text": lambda: "a b", "texts": lambda: list(TEXTS), "num_neighbours": lambda: 2,
                "latents": lambda: np.zeros((3, model.config.total_latent_size)),
            }, ("text", "texts")),
            Method(f"{name}: decode", pipe.decode, {
                "latents": lambda: torch.zeros(2, model.config.total_latent_size)
            }, ("latents",)),
            Method(f"{name}: decode_and_read", pipe.decode_and_read, {
                "latents": lambda: torch.zeros(2, model.config.total_latent_size)
            }, ("latents",)),
            Method(f"{name}: interpolate", pipe.interpolate, {
                "first": lambda: "a b", "second": lambda: "c", "num_steps": lambda: 3
            }, ("first", "second")),
        ]  # fmt: skip
    if model.has_symbols:
        methods.append(Method(f"{name}: classify", pipe.classify, texts | {"top_k": lambda: 2}, ("texts",)))
    if model.modality.is_autoregressive:
        methods.append(Method(f"{name}: complete", pipe.complete, {
            "texts": lambda: "a <mask> c", "num_beams": lambda: 3, "num_chains": lambda: 2, "generator": lambda: 0,
        }, ("texts",)))  # fmt: skip
    return methods
