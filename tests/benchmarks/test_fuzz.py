"""A few hundred random requests of each kind: each is answered, or refused in a sentence that names what is wrong."""

import importlib
import random

import pytest


@pytest.mark.parametrize(
    ("module", "number"),
    [("fuzz_arguments", 300), ("fuzz_configurations", 300), ("fuzz_recipes", 300), ("fuzz_data_files", 300)],
)
def test_random_requests_end_clearly(module, number):
    fuzz = importlib.import_module(module)
    outcomes = fuzz.run(number, seed=1)
    assert outcomes.counts.total() == number
    assert outcomes.counts["answered"] > 0.1 * number
    assert outcomes.counts["refused in a sentence"] > 0.1 * number
    assert not outcomes.unclear


@pytest.mark.parametrize(
    ("message", "is_named"),
    [
        ("training.seed must be at least 0, got -1", True),
        ("seed must be an integer", True),
        ("seeds must be integers, as the data of this model and its training", False),
        ("the data cannot be read", False),
        ("model.latent_size must be at least 1", False),
    ],
)
def test_a_refusal_is_clear_if_it_names_what_was_changed(message, is_named):
    recipes, configurations = map(importlib.import_module, ("fuzz_recipes", "fuzz_configurations"))
    error = ValueError(message)
    assert recipes.is_clear(error, {"seed"}) == is_named
    assert configurations.is_clear(error, {"seed"}, [error]) == is_named
    assert not recipes.is_clear(error, set()) and not configurations.is_clear(error, {"seed"}, [])


def test_names_of_what_is_changed_in_a_recipe():
    recipes = importlib.import_module("fuzz_recipes")
    before = ["data:", "  source: a", "training:", "  seed: 1"]
    assert recipes._names_on_other_lines(before, [*before[:3], "  sed: 1"]) == {"training", "seed", "sed", "1"}
    assert recipes._names_on_other_lines(before, before) == set()


def test_models_with_pretrained_parts_are_tried():
    methods = importlib.import_module("fuzz_methods").Workshop().methods(random.Random(0))
    arguments = {method.name: method.valid for method in methods}
    assert "encoder_features" in arguments["pretrained encoder: forward"]
    assert "return_diagnostics" in arguments["pretrained: sample_latents"]
    assert "pipeline of pretrained: write" in arguments
