"""The configuration accepts only the right types and consistent symbols, and reloads from its JSON."""

from types import NoneType
from typing import ClassVar, Literal, get_args, get_origin

import pytest
from huggingface_hub.errors import StrictDataclassClassValidationError, StrictDataclassFieldValidationError
from tiny_models import DIFFUSION_PRESETS
from transformers import AutoConfig

from ldebm_hf import PRESETS, LDEBMConfig

REJECTED = (ValueError, StrictDataclassClassValidationError, StrictDataclassFieldValidationError)
FIELDS = {name: kind for name, kind in LDEBMConfig.__annotations__.items() if get_origin(kind) is not ClassVar}
ABOUT_BASE_MODELS = (
    "encoder", "encoder_name_or_path", "encoder_revision", "encoder_pooling", "encoder_normalize",
    "encoder_trainable_layers", "encoder_lora_rank", "encoder_config", "encoder_layout", "encoder_digest", "decoder",
    "decoder_name_or_path", "decoder_revision", "decoder_trainable_layers", "decoder_config", "decoder_digest",
)  # fmt: skip
FLOATS = [name for name, kind in FIELDS.items() if float in get_args(kind)]


def away_from_default(kind, default):
    """Another value of the type; a list or `None` where those are allowed."""
    allowed = get_args(kind) or (kind,)
    if get_origin(kind) is Literal:
        return next(value for value in reversed(allowed) if value != default)
    if list[int] in allowed or list[float] in allowed:
        return [3, 4] if list[int] in allowed else [0.2, 0.9]
    if bool in allowed:
        return not default
    if NoneType in allowed and default is not None:
        return None
    if int in allowed and default is None:
        return 3
    return 0.25 if float in allowed else default + 1


@pytest.mark.parametrize("name", FIELDS)
def test_wrong_type_is_an_error_that_names_the_field(name):
    with pytest.raises(StrictDataclassFieldValidationError, match=f"'{name}'"):
        LDEBMConfig(**{name: object()})
    config = LDEBMConfig()
    with pytest.raises(StrictDataclassFieldValidationError, match=f"'{name}'"):
        setattr(config, name, object())


@pytest.mark.parametrize(
    ("name", "value"),
    [("latent_size", 4.0), ("latent_size", "4"), ("langevin_steps", True), ("dropout", "0.1"), ("dropout", False)]
    + [("terminal_prior", 1), ("noise_schedule", "cosine"), ("noise_range", [0, 0.5]), ("noise_range", (0.1, 0.5))],
)
def test_lookalikes_of_the_right_type_are_errors(name, value):
    with pytest.raises(StrictDataclassFieldValidationError, match=f"'{name}'"):
        LDEBMConfig(**{name: value})


@pytest.mark.parametrize("name", FLOATS)
def test_int_is_accepted_for_a_float(name):
    value = 0 if name.endswith("dropout") else 1
    prior = "mixture" if name == "dispersion_weight" else "diffusion"
    assert getattr(LDEBMConfig(**{name: value}, prior=prior), name) == value


@pytest.mark.parametrize(
    ("settings", "name", "value", "allowed"),
    [
        ({"vocab_size": 0}, "vocab_size", 0, "at least 1"),
        ({"latent_size": -1}, "latent_size", -1, "at least 1"),
        ({"langevin_steps": 0}, "langevin_steps", 0, "at least 1"),
        ({"num_levels": 0}, "num_levels", 0, "at least 1"),
        ({"num_levels": 1}, "langevin_step_rule", "'published'", "relative or paper for num_levels=1"),
        ({"num_levels": 1, "scale_last_level": True}, "scale_last_level", True, "False for num_levels=1"),
        ({"energy_network": "mlp"}, "energy_network", "'mlp'", "residual for more than one level"),
        (
            {"energy_network": "mlp", "num_levels": 1, "langevin_step_rule": "paper"},
            "energy_spectral_norm",
            True,
            'False for energy_network="mlp"',
        ),
        ({"modality": "point", "prior": "none"}, "modality", "'point'", '"text" for prior="none"'),
        ({"modality": "document", "vocab_size": 4}, "vocab_size", 4, "above 4, the number of marks"),
        ({"point_size": 0}, "point_size", 0, "at least 1"),
        ({"point_center": [1.0]}, "point_center", [1.0], "point_size=2 finite numbers"),
        ({"point_center": [0.0, float("nan")]}, "point_center", "[0.0, nan]", "finite numbers"),
        ({"point_scale": 0}, "point_scale", 0, "at least 1e-12"),
        ({"point_std": -1.0}, "point_std", -1.0, "at least 1e-06"),
        ({"point_noise": -0.1}, "point_noise", -0.1, "at least 0"),
        ({"word_dropout": 1}, "word_dropout", 1, "in [0, 1)"),
        ({"gumbel_temperature": 0.0}, "gumbel_temperature", 0.0, "at least 1e-06"),
        ({"prior": "mixture", "dispersion_weight": 1.5}, "dispersion_weight", 1.5, "between 0 and 1"),
        ({"dispersion_weight": 0.5}, "dispersion_weight", 0.5, 'used with prior="mixture" only'),
        ({"prior": "none", "normalize_posterior": True}, "normalize_posterior", True, "False for prior='none'"),
        ({"num_code_variables": 0}, "num_code_variables", 0, "at least 1"),
        ({"prior": "semi", "num_code_categories": 1}, "num_code_categories", 1, "at least 2, or None"),
        ({"prior": "discrete", "num_labels": 1}, "num_labels", 1, "at least 2"),
        ({"prior": "discrete", "num_code_variables": 2}, "num_labels", 20, "C**2, with num_code_variables=2"),
        (
            {"prior": "mixture", "num_code_variables": 3, "num_labels": 8},
            "latent_size",
            40,
            "a multiple of num_code_variables=3",
        ),
        ({"energy_num_blocks": -1}, "energy_num_blocks", -1, "at least 0"),
        ({"embedding_size": 8}, "decoder_hidden_size", 512, "equal to embedding_size=8"),
        ({"dropout": 1.0}, "dropout", 1.0, "in [0, 1)"),
        ({"langevin_step_size": 0}, "langevin_step_size", 0, "positive"),
        ({"langevin_step_decay": 0}, "langevin_step_decay", 0, "in (0, 1]"),
        ({"kl_weight": -0.1}, "kl_weight", -0.1, "at least 0"),
        ({"mutual_information_weight": float("nan")}, "mutual_information_weight", "nan", "finite"),
        ({"entropy_threshold": float("inf")}, "entropy_threshold", "inf", "finite"),
        ({"uniform_init_range": 0}, "uniform_init_range", 0, "in (0, 1]"),
        ({"uniform_init_range": 8}, "uniform_init_range", 8, "in (0, 1]"),
        ({"noise_range": [0.5, 0.1]}, "noise_range", [0.5, 0.1], "two increasing numbers between 0 and 1"),
        ({"noise_range": [0.1]}, "noise_range", [0.1], "two increasing numbers between 0 and 1"),
        ({"base_level_noise": False}, "langevin_step_rule", "'published'", "base_level_noise=True"),
        ({"noise_schedule": "linear_variance"}, "base_level_noise", True, "False for noise_schedule="),
        ({"vocab_size": 3}, "eos_token_id", 3, "in 0..2"),
        ({"eos_token_id": [3, -1]}, "eos_token_id", [3, -1], "in 0..10003"),
        ({"num_labels": 0}, "num_labels", 0, "at least 1"),
        ({"num_symbols": "7"}, "num_symbols", "'7'", "an int"),
        ({"num_labels": True}, "num_labels", True, "an int"),
        ({"num_labels": 2, "num_symbols": 3}, "num_symbols", 3, "2"),
        ({"id2label": {0: "a", 1: "b"}, "num_labels": 5}, "num_labels", 5, "2"),
        ({"label2id": {"a": 0, "b": 1}, "num_symbols": 5}, "num_symbols", 5, "2"),
        ({"id2label": {}}, "id2label", {}, "one name for each of the ids"),
        ({"id2label": {0: "a", 2: "b"}}, "id2label", {0: "a", 2: "b"}, "one name for each of the ids 0, 1"),
        ({"id2label": {0: "a", 1: "a"}}, "id2label", {0: "a", 1: "a"}, "without repeated names"),
        ({"id2label": {0: "a"}, "label2id": {"b": 0}}, "label2id", {"b": 0}, "the inverse of id2label, {'a': 0}"),
    ],
)
def test_bad_value_is_an_error_with_argument_value_and_what_is_allowed(settings, name, value, allowed):
    with pytest.raises(REJECTED) as error:
        LDEBMConfig.from_preset("published", **settings)
    message = str(error.value)
    assert f"{name} must be" in message and f"got {value}" in message and allowed in message


def test_values_assigned_later_are_checked_when_saving(tmp_path):
    config = LDEBMConfig()
    config.num_levels = 0
    with pytest.raises(StrictDataclassClassValidationError, match="num_levels must be at least 1, got 0"):
        config.save_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["output_attentions", "output_hidden_states"])
def test_what_layers_compute_is_not_returned(name):
    with pytest.raises(REJECTED, match=f"{name} must be False, because the model does not return .*got True"):
        LDEBMConfig(**{name: True})
    assert not getattr(LDEBMConfig(**{name: False}), name)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, [f"LABEL_{symbol}" for symbol in range(20)]),
        ({"num_symbols": 3}, ["LABEL_0", "LABEL_1", "LABEL_2"]),
        ({"num_labels": 1}, ["LABEL_0"]),
        ({"num_labels": None, "num_symbols": 2}, ["LABEL_0", "LABEL_1"]),
        ({"id2label": {0: "good", 1: "bad"}}, ["good", "bad"]),
        ({"id2label": {"1": "bad", "0": "good"}}, ["good", "bad"]),
        ({"label2id": {"bad": 1, "good": 0}}, ["good", "bad"]),
        ({"id2label": {0: "good", 1: "bad"}, "label2id": {"good": 0, "bad": 1}}, ["good", "bad"]),
        ({"id2label": {0: "good", 1: "bad"}, "num_labels": 2, "num_symbols": 2}, ["good", "bad"]),
    ],
)
@pytest.mark.parametrize("preset", DIFFUSION_PRESETS)
def test_symbols_are_consistent_however_they_are_given(preset, settings, names):
    config = LDEBMConfig.from_preset(preset, **settings)
    assert config.id2label == dict(enumerate(names))
    assert config.label2id == {name: symbol for symbol, name in enumerate(names)}
    assert config.num_labels == config.num_symbols == len(names)
    again = LDEBMConfig.from_dict(config.to_dict())
    assert (again.id2label, again.label2id) == (config.id2label, config.label2id)


def test_setting_the_number_of_symbols_renames_them():
    config = LDEBMConfig(id2label={0: "good", 1: "bad"})
    config.num_symbols = 3
    assert config.num_labels == 3 and config.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}
    config.validate()


def test_presets_set_the_same_fields_and_the_default_is_consistent():
    published, consistent = PRESETS["published"], PRESETS["consistent"]
    assert published.keys() == consistent.keys() <= FIELDS.keys()
    assert LDEBMConfig.from_preset("consistent") == LDEBMConfig() != LDEBMConfig.from_preset("published")
    assert set(DIFFUSION_PRESETS) == {"published", "consistent"}
    for preset, values in PRESETS.items():
        config = LDEBMConfig.from_preset(preset)
        decided = {name: value for name, value in values.items() if value is not None or name != "normalize_posterior"}
        assert {name: getattr(config, name) for name in decided} == decided


def test_latents_have_a_fixed_scale_with_the_diffusion_prior_unless_a_setting_says_otherwise():
    for prior, expected in (("diffusion", True), ("gaussian", False), ("discrete", False), ("none", False)):
        for preset in ("consistent", None):
            made = LDEBMConfig(prior=prior) if preset is None else LDEBMConfig.from_preset(preset, prior=prior)
            assert made.normalize_posterior is expected
    assert LDEBMConfig(normalize_posterior=False).normalize_posterior is False
    assert LDEBMConfig(prior="gaussian", normalize_posterior=True).normalize_posterior is True


@pytest.mark.parametrize(
    ("settings", "categories", "has_symbols", "gaussian_size", "total_size"),
    [
        ({"prior": "diffusion"}, 9, True, 4, 4),
        ({"prior": "gaussian"}, 9, False, 4, 4),
        ({"prior": "none"}, 9, False, 0, 0),
        ({"prior": "mixture"}, 9, True, 4, 4),
        ({"prior": "mixture", "num_code_variables": 2}, 3, True, 4, 4),
        ({"prior": "discrete"}, 9, True, 0, 9),
        ({"prior": "discrete", "num_code_variables": 2}, 3, True, 0, 6),
        ({"prior": "discrete", "num_code_categories": 5}, 5, False, 0, 5),
        ({"prior": "discrete", "num_code_variables": 20, "num_code_categories": 10}, 10, False, 0, 200),
        ({"prior": "semi"}, 9, True, 4, 13),
        ({"prior": "semi", "num_code_variables": 2, "num_code_categories": 3}, 3, True, 4, 10),
        ({"prior": "semi", "num_code_variables": 3, "num_code_categories": 2}, 2, False, 4, 10),
    ],
)
def test_codes_symbols_and_sizes_of_every_prior(settings, categories, has_symbols, gaussian_size, total_size):
    config = LDEBMConfig(latent_size=4, num_symbols=9, **settings)
    assert (config.code_categories, config.has_symbols) == (categories, has_symbols)
    assert (config.gaussian_size, config.total_latent_size) == (gaussian_size, total_size)
    assert config.has_codes == (settings["prior"] in ("mixture", "discrete", "semi"))


def test_roots_of_the_number_of_symbols_are_exact():
    """The cube root of 125 in floating point is 4.999…"""
    for variables, categories in [(3, 5), (2, 7), (4, 10), (6, 3)]:
        config = LDEBMConfig(prior="discrete", num_code_variables=variables, num_symbols=categories**variables)
        assert config.code_categories == categories and config.has_symbols


def test_settings_go_on_top_of_a_preset():
    config = LDEBMConfig.from_preset("consistent", langevin_steps=7, num_symbols=4, dtype="bfloat16")
    assert (config.langevin_steps, config.num_labels, config.langevin_start) == (7, 4, "gaussian")
    with pytest.raises(ValueError, match="preset must be one of .*'consistent', .*'published', .*, got 'paper'"):
        LDEBMConfig.from_preset("paper")
    with pytest.raises(ValueError, match="settings must be fields of LDEBMConfig, got 'latent_sise'"):
        LDEBMConfig.from_preset("published", latent_sise=3)


OF_ONE_PRIOR = ("distilled_sampler", "latent_generator")
"""Settings that no other prior has; test_distilled_sampler.py and test_adversarial_prior.py save models with them."""


def test_every_field_survives_the_json_file(tmp_path):
    published = LDEBMConfig.from_preset("published")
    values = {
        name: away_from_default(kind, getattr(published, name))
        for name, kind in FIELDS.items()
        if name not in ABOUT_BASE_MODELS  # of which test_base_models.py makes real ones
        if name not in OF_ONE_PRIOR
    }
    del values["is_encoder_decoder"]
    # These go with the others.
    values |= {"prior": "mixture", "latent_size": 42, "num_levels": 1, "point_center": [0.2, 0.9, -1.0]}
    values["context_size"] = 0  # the other value goes with texts
    values["symbol_groups"] = None  # the other value goes with the diffusion prior; test_merged_symbols.py saves one
    values["scale_last_level"] = False  # the other value goes with a flat base measure and several levels only
    assert None in values.values() and [0.2, 0.9] in values.values()
    LDEBMConfig(id2label={0: "good", 1: "bad", 2: "übel"}, **values).save_pretrained(tmp_path)
    loaded = LDEBMConfig.from_pretrained(tmp_path)
    assert {name: getattr(loaded, name) for name in values} == values
    assert loaded.id2label == {0: "good", 1: "bad", 2: "übel"} and loaded.label2id["übel"] == 2


@pytest.mark.parametrize("preset", PRESETS)
def test_saved_preset_reloads_equal(preset, tmp_path):
    config = LDEBMConfig.from_preset(preset, id2label={0: "good", 1: "bad"}, latent_size=8)
    config.save_pretrained(tmp_path)
    for loaded in (LDEBMConfig.from_pretrained(tmp_path), AutoConfig.from_pretrained(tmp_path)):
        assert type(loaded) is LDEBMConfig
        assert loaded.to_json_string() == config.to_json_string()


@pytest.mark.parametrize("num_symbols", [1, 2, 3, 20])
def test_number_of_unnamed_symbols_survives_a_save(num_symbols, tmp_path):
    """Two symbols of default names are transformers' own default, which it leaves out of a saved configuration."""
    LDEBMConfig(num_symbols=num_symbols).save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).num_symbols == num_symbols
