"""Functions of a model that are its methods: the same objects, with their documentation."""

import inspect

import pytest

from ldebm_hf import LDEBMModel
from ldebm_hf.model.adversarial_fit import fit_adversarial_prior
from ldebm_hf.model.classification import classify
from ldebm_hf.model.completion import complete, complete_texts
from ldebm_hf.model.distillation import distil_sampler
from ldebm_hf.model.explanation import explain
from ldebm_hf.model.responding import respond
from ldebm_hf.model.sampling import sample_latents
from ldebm_hf.model.symbols import merge_symbols, name_symbols, require_symbols, symbol_ids

FUNCTIONS = [
    classify, complete, complete_texts, distil_sampler, explain, fit_adversarial_prior, merge_symbols, name_symbols,
    require_symbols, respond, sample_latents, symbol_ids
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_a_method_is_its_function(function):
    method = getattr(LDEBMModel, function.__name__)
    assert method is function and inspect.getdoc(method)
    assert next(iter(inspect.signature(method).parameters)) == "model"


def test_generation_is_the_only_mixin():
    mixins = [base.__name__ for base in LDEBMModel.__mro__ if base.__name__.startswith("LDEBM")]
    assert mixins == ["LDEBMModel", "LDEBMPreTrainedModel", "LDEBMGenerationMixin"]
