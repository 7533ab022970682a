"""The registries: every modality and every prior is complete, and a new one is one entry."""

import inspect

import pytest
import torch
from tiny_models import TINY_SIZES

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.model import configuration_ldebm
from ldebm_hf.model.document_modality import DocumentDecoder, DocumentEncoder
from ldebm_hf.model.modalities import MODALITIES
from ldebm_hf.model.modality import Modality
from ldebm_hf.model.point_modality import PointDecoder, PointEncoder
from ldebm_hf.model.prior import Prior
from ldebm_hf.model.priors import PRIORS
from ldebm_hf.model.text_modality import NoEncoder, TextDecoder, TextEncoder, TextModality

SIZES = {**TINY_SIZES, "document_hidden_size": 8, "point_hidden_size": 8}
PARTS = {
    "text": (TextEncoder, TextDecoder),
    "document": (DocumentEncoder, DocumentDecoder),
    "point": (PointEncoder, PointDecoder),
}


@pytest.mark.parametrize("name", MODALITIES)
def test_configuration_chooses_encoder_and_decoder(name):
    model = LDEBMModel(LDEBMConfig(modality=name, **SIZES))
    assert (type(model.encoder), type(model.decoder)) == PARTS[name]
    assert type(model.modality) is MODALITIES[name] and model.main_input_name == model.modality.input_name


@pytest.mark.parametrize("name", PRIORS)
def test_configuration_chooses_the_prior(name):
    config = LDEBMConfig(prior=name, **SIZES)
    model = LDEBMModel(config)
    assert type(model.prior) is PRIORS[name] is config.prior_class
    assert type(model.encoder) is (NoEncoder if name == "none" else TextEncoder)
    assert config.has_latent == (config.total_latent_size > 0)
    assert config.has_symbols == model.prior.can_have_symbols


@pytest.mark.parametrize(("base", "registry"), [(Modality, MODALITIES), (Prior, PRIORS)])
def test_every_fact_is_declared_by_the_contract(base, registry):
    declared = {name for name in base.__annotations__}
    for kind in registry.values():
        facts = {
            name
            for parent in kind.__mro__[: kind.__mro__.index(base)]
            for name, value in vars(parent).items()
            if isinstance(value, (bool, str, int, tuple)) and not name.startswith("_")
        }
        assert facts <= declared
        assert all(hasattr(kind, name) for name in declared)


def test_a_new_modality_is_one_entry_of_the_registry(monkeypatch):
    class ReversedTexts(TextModality):
        default_max_length = 7

    monkeypatch.setitem(MODALITIES, "reversed", ReversedTexts)
    # The class has read the allowed names already, so build it again, now with the new entry.
    source = inspect.getsource(configuration_ldebm).replace("from .", "from ldebm_hf.model.")
    module = type(configuration_ldebm)("reloaded_configuration")
    exec(compile(source, configuration_ldebm.__file__, "exec"), module.__dict__)
    model = LDEBMModel(module.LDEBMConfig(modality="reversed", **SIZES))
    assert type(model.modality) is ReversedTexts and model.modality.default_max_length == 7
    assert model(torch.tensor([[2, 5, 6, 3]])).loss.isfinite()
