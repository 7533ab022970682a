"""Every argument of a function that checks its arguments has a rule, or a reason why it needs none."""

import contextlib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator

import pytest

import ldebm_hf

WITHOUT_A_RULE = {
    "self": "the object itself",
    "model": "the model itself, whose settings rules compare values with",
    "class_labels": "symbols: `symbol_ids` checks them",
    "symbols": "symbols: `read_symbols` checks them",
    "LDEBMForSequenceClassification.forward labels": "symbols: `read_symbols` checks them",
    "LDEBMModel.forward return_loss": "not used",
    "encoder_outputs": "marks a step of a loop, which is not checked",
    "past_key_values": "read in such a step alone",
    "cache": "read in such a step alone",
    "respond turns": "strings or messages: the function checks each",
    "LDEBMPipeline.__call__ inputs": "from any iterable: `preprocess` checks each",
    "LDEBMPipeline.neighbours text": "a text or a latent: the function applies the rule of either",
    "LDEBMModel.resize_token_embeddings pad_to_multiple_of": "transformers checks it",
    "LDEBMModel.resize_token_embeddings mean_resizing": "transformers reads it",
}
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def checked_functions() -> Iterator[tuple[str, Callable]]:
    for module in pkgutil.walk_packages(ldebm_hf.__path__, "ldebm_hf."):
        with contextlib.suppress(ImportError):  # of an optional dependency
            members = vars(importlib.import_module(module.name))
            for owner in members.values():
                functions = [owner]
                if inspect.isclass(owner) and owner.__module__.startswith("ldebm_hf."):
                    functions += [getattr(owner, name) for name in vars(owner)]
                for function in functions:
                    if callable(function) and hasattr(function, "rules"):
                        yield function.__qualname__, inspect.unwrap(function), function.rules


FUNCTIONS = {name: (function, rules) for name, function, rules in checked_functions()}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_has_a_rule_or_a_reason(name):
    function, rules = FUNCTIONS[name]
    arguments = [one.name for one in inspect.signature(function).parameters.values() if one.kind not in VARIADIC]
    missing = [one for one in arguments if one not in rules and one not in WITHOUT_A_RULE]
    assert [one for one in missing if f"{name} {one}" not in WITHOUT_A_RULE] == []


def test_all_kinds_of_functions_are_found():
    some = {"sample_latents", "LDEBMModel.forward", "LDEBMPipeline.write", "build_tokenizer", "frozen_features"}
    assert some <= set(FUNCTIONS)
