"""Every preset, of texts and of points: the same calls, the same guarantees, and clear errors for what it lacks."""

import pytest
import torch
from tiny_models import DIFFUSION_PRESETS, TINY_SIZES, VOCABULARY, seeded
from torch import nn

from ldebm_hf import PRESETS, LDEBMConfig, LDEBMModel

BATCH, SYMBOLS = 3, 3
IDS = torch.tensor([[2, 5, 6, 7, 8, 3], [2, 9, 4, 3, 0, 0], [2, 10, 3, 0, 0, 0]])
POINTS = torch.tensor([[4.0, -1.0], [6.5, 0.3], [5.0, 2.0]])
LABELS = torch.tensor([0, 2, -100])
POINT_SIZES = {"point_hidden_size": 16, "point_center": [5.0, 0.0], "point_scale": 2.0}
WITH_A_LATENT = [preset for preset in PRESETS if preset != "rnn_lm"]
WITH_SYMBOLS = [preset for preset in PRESETS if LDEBMConfig.from_preset(preset).has_symbols]
WITHOUT_AN_ENERGY = [preset for preset in PRESETS if PRESETS[preset].get("prior", "diffusion") != "diffusion"]
CASES = [("text", preset) for preset in PRESETS] + [("point", preset) for preset in WITH_A_LATENT]
of_every_case = pytest.mark.parametrize(("modality", "preset"), CASES)


def build(modality, preset, **settings) -> LDEBMModel:
    torch.manual_seed(0)
    sizes = {**TINY_SIZES, **POINT_SIZES, "modality": modality, "dropout": 0.0}
    return LDEBMModel(LDEBMConfig.from_preset(preset, **{**sizes, **settings})).eval()


def inputs_of(model) -> dict[str, torch.Tensor]:
    return {"points": POINTS} if model.config.modality == "point" else {"input_ids": IDS}


def short(model) -> dict[str, int]:
    return {} if model.config.modality == "point" else {"max_new_tokens": 4}


def known_symbols(model) -> dict[str, torch.Tensor]:
    return {"class_labels": LABELS} if model.has_symbols else {}


# ------------------------------------------------------------------------------------------------------------- forward


@of_every_case
@pytest.mark.parametrize("training", [False, True])
def test_forward_has_the_terms_that_the_prior_has_and_no_others(modality, preset, training):
    model = build(modality, preset).train(training)
    config, output = model.config, model(**inputs_of(model), **known_symbols(model))
    terms = ["loss", "reconstruction_loss", "prior_loss", "entropy_loss"]
    terms += ["energy_positive", "energy_negative"] * (config.prior == "diffusion")
    terms += ["mutual_information", "classification_loss"] * config.has_symbols
    for name in terms:
        assert output[name].shape == () and output[name].isfinite(), name
    shapes = {"latents": (BATCH, config.total_latent_size)}
    if config.total_latent_size:
        shapes["posterior_mean"] = (BATCH, config.total_latent_size)
    if config.gaussian_size:
        shapes["posterior_log_variance"] = (BATCH, config.gaussian_size)
    if config.has_symbols:
        shapes["symbol_logits"] = (BATCH, SYMBOLS)
    if modality == "text" and not training:
        shapes["logits"] = (BATCH, IDS.shape[1] - 1, VOCABULARY)
    assert {name: tuple(output[name].shape) for name in shapes} == shapes
    assert set(output) == {*terms, *shapes}


@of_every_case
def test_loss_is_the_weighted_sum_of_its_terms_and_kl_scale_weighs_the_divergence(modality, preset):
    model = build(modality, preset)
    config = model.config
    for scale in (0.0, 0.5, 1.0):
        output = model(**inputs_of(model), **known_symbols(model), kl_scale=scale, generator=seeded())
        expected = output.reconstruction_loss
        expected = expected + scale * config.kl_weight * (output.prior_loss + output.entropy_loss)
        if config.has_symbols:
            information_weight = config.mutual_information_weight * (scale if config.has_codes else 1)
            expected = expected - information_weight * output.mutual_information
            expected = expected + config.classification_weight * output.classification_loss
        torch.testing.assert_close(output.loss, expected)
    assert torch.equal(output.loss, model(**inputs_of(model), **known_symbols(model), generator=seeded()).loss)


@of_every_case
def test_gradient_reaches_every_parameter(modality, preset):
    model = build(modality, preset, word_dropout=0.0).train()
    model(**inputs_of(model), **known_symbols(model)).loss.backward()
    unreached = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert unreached == []
    assert all(p.grad.isfinite().all() for p in model.parameters())


@of_every_case
def test_same_generator_same_result(modality, preset):
    model = build(modality, preset)

    def results(seed):
        output = model(**inputs_of(model), generator=seeded(seed))
        texts = model.generate(num_samples=3, do_sample=True, generator=seeded(seed), **short(model))
        return [output.loss, model.sample_latents(5, generator=seeded(seed)), texts]

    state = torch.random.get_rng_state()
    first, again, other = results(0), results(0), results(1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    if preset != "rnn_lm":
        assert not torch.equal(first[0], other[0]) and not torch.equal(first[1], other[1])
    assert first[2].shape != other[2].shape or not torch.equal(first[2], other[2])


@of_every_case
def test_saved_model_has_the_same_loss_to_the_bit(modality, preset, tmp_path):
    model = build(modality, preset).train()
    model(**inputs_of(model)).loss.backward()
    torch.optim.Adam(model.parameters(), lr=0.01).step()
    model.eval().save_pretrained(tmp_path)
    loaded, info = LDEBMModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()) and loaded.config.prior == model.config.prior
    losses = [m(**inputs_of(m), **known_symbols(m), generator=seeded()).loss for m in (model, loaded)]
    assert torch.equal(*losses)
    assert torch.equal(*(m.sample_latents(4, generator=seeded()) for m in (model, loaded)))
    tensors = [dict([*m.named_parameters(), *m.named_buffers()]) for m in (model, loaded)]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0].keys() | tensors[1].keys())


@of_every_case
def test_half_precision_trains_and_samples_with_a_float32_prior(modality, preset, tmp_path):
    model = build(modality, preset)
    half = build(modality, preset).to(torch.bfloat16)
    for name, tensor in [*half.named_parameters(), *half.named_buffers()]:
        expected = torch.float32 if name.startswith("prior.") else torch.bfloat16
        assert tensor.dtype == expected or not tensor.is_floating_point(), name
    output, expected = (m(**inputs_of(m), generator=seeded()) for m in (half, model))
    for name in ("loss", "reconstruction_loss", "prior_loss"):
        torch.testing.assert_close(output[name], expected[name], rtol=0.05, atol=0.1)
    half.train()(**inputs_of(half)).loss.backward()
    assert all(p.grad.isfinite().all() for p in half.parameters())
    assert half.sample_latents(2).dtype == torch.float32
    assert len(half.eval().generate(num_samples=2, **short(half))) == 2


# ------------------------------------------------------------------------------------------------- latents and samples


@of_every_case
def test_samples_from_the_prior(modality, preset):
    model = build(modality, preset)
    latents = model.sample_latents(7, generator=seeded())
    assert latents.shape == (7, model.config.total_latent_size)
    assert model.sample_latents(7, batch_size=3, generator=seeded()).shape == latents.shape
    output = model.sample_latents(7, return_trajectory=True, generator=seeded())
    num_states = model.config.num_levels + 1 if model.config.prior == "diffusion" else 1
    assert output.trajectory.shape == (num_states, *latents.shape) and torch.equal(output.latents, latents)
    assert torch.equal(output.trajectory[-1], latents)
    texts = model.generate(latents=latents, generator=seeded(), **short(model))
    assert len(texts) == 7 and texts.dtype == (torch.float32 if modality == "point" else torch.int64)


@pytest.mark.parametrize("preset", WITH_A_LATENT)
@pytest.mark.parametrize("modality", ["text", "point"])
def test_posterior_and_reconstruction(modality, preset):
    model = build(modality, preset)
    q, config = model.encode(**inputs_of(model)), model.config
    assert q.posterior_mean.shape == (BATCH, config.total_latent_size)
    assert (q.posterior_log_variance is None) == (config.gaussian_size == 0)
    assert (q.symbol_logits is None) == (not config.has_symbols)
    latents = model.reconstruction_latents(**inputs_of(model))
    if config.prior in ("discrete", "semi"):
        code = latents[:, config.gaussian_size :]
        assert ((code == 0) | (code == 1)).all()
        assert torch.equal(code.argmax(-1), q.posterior_mean[:, config.gaussian_size :].argmax(-1))
    else:
        assert torch.equal(latents, q.posterior_mean)
    rebuilt = model.generate(**inputs_of(model), **short(model))
    assert torch.equal(rebuilt, model.generate(latents=latents, **short(model))) and len(rebuilt) == BATCH


@of_every_case
def test_symbols_where_there_are_some_and_one_error_where_there_are_none(modality, preset):
    model = build(modality, preset)
    if model.has_symbols:
        probabilities = model.infer_symbols(**inputs_of(model))
        assert probabilities.shape == (BATCH, SYMBOLS) and not probabilities.requires_grad
        torch.testing.assert_close(probabilities.sum(-1), torch.ones(BATCH))
        torch.testing.assert_close(model.encode(**inputs_of(model)).symbol_logits.softmax(-1), probabilities)
        latents = model.sample_latents(class_labels=["bad", "good", 2], generator=seeded())
        texts = model.generate(latents=latents, **short(model))
        assert torch.equal(model.generate(class_labels=[1, 0, 2], generator=seeded(), **short(model)), texts)
        with pytest.raises(ValueError, match="class_labels must be in 0..2"):
            model.generate(class_labels="awful")
        return
    calls = [
        lambda: model.infer_symbols(**inputs_of(model)),
        lambda: model(**inputs_of(model), class_labels=LABELS),
        lambda: model.sample_latents(2, class_labels=1),
        lambda: model.generate(class_labels="bad"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"prior='{model.config.prior}' has no symbols"):
            call()


@pytest.mark.parametrize("preset", ["gm_vae", "discrete_vae", "semi_vae"])
@pytest.mark.parametrize("modality", ["text", "point"])
@torch.no_grad()
def test_samples_of_a_symbol_have_it(modality, preset):
    """p(y|z) is 1 for codes, and for components that are far apart."""
    model = build(modality, preset)
    if preset == "gm_vae":
        model.prior.means.mul_(50)
    symbols = torch.arange(30) % SYMBOLS
    latents = model.sample_latents(class_labels=symbols, generator=seeded())
    assert torch.equal(model.prior.symbol_logits(latents).argmax(-1), symbols)


def test_di_vaes_loss_has_the_divergence_of_the_aggregate_posterior():
    """Loss minus reconstruction is Σ_m KL(mean of q(c_m|x) ‖ uniform) if I(x; c) has the weight of the KL."""
    model = build("point", "di_vae", num_code_variables=2, num_code_categories=5)
    output = model(points=POINTS)
    aggregate = model.encode(points=POINTS).posterior_mean.unflatten(-1, (2, 5)).mean(0)
    expected = (aggregate * (5 * aggregate).log()).sum()
    torch.testing.assert_close(output.loss - output.reconstruction_loss, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("preset", ["gm_vae", "di_vae", "semi_vae"])
def test_codes_without_a_name_each_are_no_symbols(preset):
    model = build("point", preset, num_code_variables=2, num_code_categories=5)
    assert not model.has_symbols
    output = model.train()(points=POINTS)
    assert output.symbol_logits is None and output.classification_loss is None and output.mutual_information >= 0
    with pytest.raises(ValueError, match="has no symbols"):
        model.infer_symbols(points=POINTS)
    assert model.encode(points=POINTS).symbol_logits is None
    assert model.sample_latents(4).shape == (4, model.config.total_latent_size)


@pytest.mark.parametrize("preset", WITHOUT_AN_ENERGY)
def test_steering_a_prior_without_chains_is_an_error(preset):
    model = build("text", preset)
    labels = {"class_labels": 1} if model.has_symbols else {}
    for name in ("num_langevin_steps", "guidance_scale"):
        with pytest.raises(ValueError, match=f"takes no {name}, got {name}=3"):
            model.generate(num_samples=1, **labels, **{name: 3})


@pytest.mark.parametrize("preset", ["svebm", "svebm_ib", *DIFFUSION_PRESETS])
def test_energy_based_presets_take_the_steering(preset):
    model = build("point", preset)
    points = model.generate(class_labels=1, num_samples=4, generator=seeded())
    for steering in ({"guidance_scale": 20.0}, {"num_langevin_steps": 1}):
        other = model.generate(class_labels=1, num_samples=4, generator=seeded(), **steering)
        assert other.shape == points.shape and not torch.equal(other, points)


# -------------------------------------------------------------------------------------------------- the wrong modality


METHODS = [("__call__", preset) for preset in PRESETS]
METHODS += [(method, preset) for method in ("encode", "generate") for preset in WITH_A_LATENT]
METHODS += [("infer_symbols", preset) for preset in WITH_SYMBOLS]


@pytest.mark.parametrize(("method", "preset"), METHODS)
def test_model_of_texts_wants_texts(method, preset):
    model = build("text", preset)
    with pytest.raises(ValueError, match="input_ids must be given to a model of texts, got points"):
        getattr(model, method)(points=POINTS)


@pytest.mark.parametrize(("method", "preset"), [case for case in METHODS if case[1] != "rnn_lm"])
def test_model_of_points_wants_points(method, preset):
    model = build("point", preset)
    call = getattr(model, method)
    with pytest.raises(ValueError, match="points must be given to a model of points, got input_ids"):
        call(input_ids=IDS)
    with pytest.raises(ValueError, match=r"points must have shape \(n, 2\) with n at least 1, got \(3, 3\)"):
        call(points=torch.zeros(3, 3))
    with pytest.raises(ValueError, match=r"points must have shape \(n, 2\) with n at least 1, got \(0, 2\)"):
        call(points=torch.zeros(0, 2))
    if method != "generate":
        with pytest.raises(ValueError, match="points must be given to a model of points, got neither"):
            call()


def test_both_modalities_at_once_and_labels_of_another_size_are_errors():
    with pytest.raises(ValueError, match="points must be given to a model of points, got input_ids and points"):
        build("point", "vae")(input_ids=IDS, points=POINTS)
    with pytest.raises(ValueError, match=r"class_labels must have shape \(3,\), got \(2,\)"):
        build("point", "gm_vae")(points=POINTS, class_labels=torch.tensor([0, 1]))


# ------------------------------------------------------------------------------------------------------ language model


def test_language_model_has_the_cross_entropy_of_a_recurrent_network():
    model = build("text", "rnn_lm")
    assert {name.partition(".")[0] for name, _ in model.named_parameters()} == {"decoder"}
    config = model.config
    network = nn.GRU(config.embedding_size, config.decoder_hidden_size, batch_first=True)
    network.load_state_dict(model.decoder.rnn.state_dict())
    embedding = model.decoder.embedding
    logits = network(embedding(IDS[:, :-1]))[0] @ embedding.weight.T
    targets = IDS[:, 1:].masked_fill(IDS[:, 1:] == 0, -100)
    expected = nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none").sum(1).mean()
    output = model(IDS)
    torch.testing.assert_close(output.loss, expected)
    assert output.prior_loss == output.entropy_loss == 0
    torch.testing.assert_close(output.logits[0], logits[0])


def test_language_model_writes_varied_texts_by_default():
    model = build("text", "rnn_lm")
    texts = model.generate(num_samples=20, max_new_tokens=8, generator=seeded())
    assert len({tuple(text) for text in texts.tolist()}) > 10
    greedy = model.generate(num_samples=3, max_new_tokens=8, do_sample=False)
    assert torch.equal(greedy[0], greedy[1])


@pytest.mark.parametrize("call", ["encode", "generate", "reconstruction_latents"])
def test_language_model_encodes_nothing(call):
    with pytest.raises(ValueError, match='prior="none" has no latent'):
        getattr(build("text", "rnn_lm"), call)(input_ids=IDS)


@of_every_case
def test_symbol_logits_of_a_forward_pass_are_those_of_infer_symbols(modality, preset):
    model = build(modality, preset).eval()
    if not model.has_symbols:
        pytest.skip("no symbols")
    inputs = inputs_of(model)
    with torch.no_grad():
        logits = model.mean_symbol_logits(model(**inputs, generator=seeded()))
    torch.testing.assert_close(logits.softmax(-1), model.infer_symbols(**inputs))
