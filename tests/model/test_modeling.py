"""The model's forward pass: shapes, padding, gradients, reproducibility, precision, initialisation, error messages."""

import copy

import numpy as np
import pytest
import torch
from tiny_models import DIFFUSION_PRESETS, TINY_SIZES
from torch import nn
from torch.nn.utils import parametrize

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.model.energy import EnergyLinear

BATCH, LENGTH, LATENT, SYMBOLS, VOCABULARY = 3, 6, 4, 3, 12
IDS = torch.tensor([[2, 5, 6, 7, 8, 3], [2, 9, 4, 3, 0, 0], [2, 10, 3, 0, 0, 0]])
MASK = (IDS != 0).long()
LOSS_TERMS = ("reconstruction_loss", "prior_loss", "entropy_loss", "mutual_information", "classification_loss")
PER_EXAMPLE = ("latents", "posterior_mean", "posterior_log_variance", "symbol_logits")


def tiny_model(preset="published", seed=0, **settings) -> LDEBMModel:
    torch.manual_seed(seed)
    return LDEBMModel(LDEBMConfig.from_preset(preset, **{**TINY_SIZES, **settings})).eval()


def seeded(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("preset", DIFFUSION_PRESETS)
@pytest.mark.parametrize("training", [False, True])
def test_forward_returns_every_term_and_shape(preset, training):
    model = tiny_model(preset).train(training)
    output = model(IDS, MASK, class_labels=torch.tensor([0, 2, -100]))
    terms = {name: output[name] for name in ("loss", *LOSS_TERMS, "energy_positive", "energy_negative")}
    for name, term in terms.items():
        assert term.shape == () and term.isfinite(), name
    config = model.config
    total = (
        output.reconstruction_loss
        + config.kl_weight * (output.prior_loss + output.entropy_loss)
        - config.mutual_information_weight * output.mutual_information
        + config.classification_weight * output.classification_loss
    )
    torch.testing.assert_close(output.loss, total)
    assert output.latents.shape == output.posterior_mean.shape == output.posterior_log_variance.shape == (3, LATENT)
    assert output.symbol_logits.shape == (BATCH, SYMBOLS)
    if training:
        assert output.logits is None
    else:
        assert output.logits.shape == (BATCH, LENGTH - 1, VOCABULARY)


def test_encode_and_infer_symbols():
    model = tiny_model()
    posterior = model.encode(IDS, MASK)
    assert list(posterior) == ["posterior_mean", "posterior_log_variance", "symbol_logits"]
    output = model(IDS, MASK)
    assert torch.equal(posterior.posterior_mean, output.posterior_mean)
    assert torch.equal(posterior.posterior_log_variance, output.posterior_log_variance)
    probabilities = model.infer_symbols(IDS, MASK)
    assert probabilities.shape == (BATCH, SYMBOLS) and not probabilities.requires_grad
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(BATCH))
    expected = model.prior.symbol_logits(posterior.posterior_mean).softmax(-1)
    torch.testing.assert_close(probabilities, expected)


@pytest.mark.parametrize("training", [False, True])
def test_padding_is_never_read(training):
    model = tiny_model(dropout=0.0).train(training)
    spectral_vectors = copy.deepcopy(model.state_dict())
    labels = torch.tensor([0, 1, -100])
    expected = model(IDS, MASK, class_labels=labels, generator=seeded())
    garbage = torch.randint(VOCABULARY, (BATCH, 4))
    padded = torch.where(MASK.bool(), IDS, torch.randint(VOCABULARY, IDS.shape))
    model.load_state_dict(spectral_vectors)
    output = model(
        torch.cat([padded, garbage], 1),
        torch.cat([MASK, torch.zeros_like(garbage)], 1),
        class_labels=labels,
        generator=seeded(),
    )
    for name in ("loss", *LOSS_TERMS, *PER_EXAMPLE):
        torch.testing.assert_close(output[name], expected[name], msg=name)


def test_without_a_mask_the_padding_token_is_padding():
    model = tiny_model()
    masked, unmasked = model(IDS, MASK, generator=seeded()), model(IDS, generator=seeded())
    assert torch.equal(unmasked.loss, masked.loss)
    assert torch.equal(model.infer_symbols(IDS), model.infer_symbols(IDS, MASK))


@pytest.mark.parametrize("training", [False, True])
def test_lengths_stand_for_the_mask(training):
    model = tiny_model(dropout=0.0).train(training)
    spectral_vectors = copy.deepcopy(model.state_dict())
    expected = model(IDS, MASK, generator=seeded())
    model.load_state_dict(spectral_vectors)
    output = model(IDS, MASK, lengths=[6, 4, 3], generator=seeded())
    assert torch.equal(output.loss, expected.loss)


def test_order_of_the_texts_does_not_matter(monkeypatch):
    monkeypatch.setattr("ldebm_hf.model.posteriors.gaussian_like", lambda tensor, generator: torch.zeros_like(tensor))
    model, order = tiny_model(), torch.tensor([2, 0, 1])
    expected, output = model(IDS, MASK), model(IDS[order], MASK[order])
    torch.testing.assert_close(output.reconstruction_loss, expected.reconstruction_loss)
    for name in ("latents", "posterior_log_variance", "logits"):
        torch.testing.assert_close(output[name], expected[name][order], msg=name)


def test_logits_can_be_skipped_and_are_those_of_the_padded_decoder():
    model = tiny_model()
    output = model(IDS, MASK, generator=seeded())
    skipping = model(IDS, MASK, generator=seeded(), skip_logits=True)
    assert skipping.logits is None and torch.equal(skipping.loss, output.loss)
    hidden, _ = model.decoder(IDS[:, :-1], output.latents)
    counted = MASK[:, 1:].bool()
    torch.testing.assert_close(output.logits[counted], model.decoder.logits(hidden)[counted])
    assert (output.logits[~counted] == 0).all()
    assert model.train()(IDS, MASK, skip_logits=False).logits is not None


def test_text_of_one_token_adds_nothing_to_the_loss():
    model = tiny_model()
    ids = torch.tensor([[2, 5, 3], [2, 0, 0]])
    output = model(ids, generator=seeded())
    hidden, _ = model.decoder(ids[:1, :-1], output.latents[:1])
    nll = nn.functional.cross_entropy(model.decoder.logits(hidden)[0], ids[0, 1:], reduction="sum")
    torch.testing.assert_close(output.reconstruction_loss, nll / 2)
    with pytest.raises(ValueError, match="input_ids must hold a token to predict"):
        model(ids[:, :1])


@pytest.mark.parametrize("mask_type", [torch.bool, torch.int32, torch.float32])
def test_mask_may_be_of_any_type(mask_type):
    model = tiny_model()
    expected = model(IDS, MASK, generator=seeded()).loss
    assert torch.equal(model(IDS, MASK.to(mask_type), generator=seeded()).loss, expected)


def test_a_row_alone_has_the_posterior_that_it_has_in_a_batch():
    model = tiny_model()
    batch = model.encode(IDS, MASK)
    for row, length in enumerate(MASK.sum(1)):
        alone = model.encode(IDS[row : row + 1, :length])
        torch.testing.assert_close(alone.posterior_mean[0], batch.posterior_mean[row])
        torch.testing.assert_close(alone.posterior_log_variance[0], batch.posterior_log_variance[row])


@pytest.mark.parametrize("preset", DIFFUSION_PRESETS)
def test_unknown_symbols_are_ignored(preset):
    model = tiny_model(preset)
    none = model(IDS, MASK, generator=seeded())
    unknown = model(IDS, MASK, class_labels=torch.full((BATCH,), -100), generator=seeded())
    assert none.classification_loss == 0 and torch.equal(none.loss, unknown.loss)
    first, third = (
        model(IDS, MASK, class_labels=torch.tensor(labels), generator=seeded()).classification_loss
        for labels in ([1, -100, -100], [-100, -100, 2])
    )
    both = model(IDS, MASK, class_labels=torch.tensor([1, -100, 2]), generator=seeded()).classification_loss
    assert first > 0 and third > 0
    torch.testing.assert_close(both, (first + third) / 2)


def test_labels_and_decoder_inputs_default_to_the_shifted_text():
    model = tiny_model()
    labels = IDS[:, 1:].masked_fill(IDS[:, 1:] == 0, -100)
    expected = model(IDS, MASK, generator=seeded())
    for given in ({"labels": labels}, {"decoder_input_ids": IDS[:, :-1]}):
        assert torch.equal(model(IDS, MASK, generator=seeded(), **given).loss, expected.loss)
    # From the definition: cross-entropy of the next word, summed over words, mean over texts.
    hidden, _ = model.decoder(IDS[:, :-1], expected.latents)
    nll = nn.functional.cross_entropy(model.decoder.logits(hidden).transpose(1, 2), labels, reduction="none")
    torch.testing.assert_close(expected.reconstruction_loss, nll.sum(1).mean())


@pytest.mark.parametrize("preset", DIFFUSION_PRESETS)
def test_gradient_reaches_every_parameter(preset):
    model = tiny_model(preset, dropout=0.0).train()
    model(IDS, MASK, class_labels=torch.tensor([0, 1, 2])).loss.backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert missing == []
    assert [name for name, p in model.named_parameters() if p.grad.abs().sum() == 0] == []


@pytest.mark.parametrize("preset", DIFFUSION_PRESETS)
def test_generator_makes_the_forward_pass_reproducible(preset):
    model = tiny_model(preset)
    state = torch.random.get_rng_state()
    first, again, other = (model(IDS, MASK, generator=seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first.latents, other.latents) and not torch.equal(first.prior_loss, other.prior_loss)
    torch.manual_seed(3)
    drawn = model(IDS, MASK).loss
    torch.manual_seed(3)
    assert torch.equal(model(IDS, MASK).loss, drawn)


def test_published_initialisation_is_uniform():
    parameters = dict(tiny_model("published", energy_hidden_size=64).named_parameters())
    for name, parameter in parameters.items():
        assert parameter.abs().max() <= 0.1, name
    large = torch.cat([p.flatten() for p in parameters.values() if p.numel() > 1000])
    assert large.std().item() == pytest.approx(0.2 / 12**0.5, rel=0.02)
    assert large.abs().max().item() == pytest.approx(0.1, rel=0.01)


def test_without_a_range_only_embeddings_differ_from_torchs_initialisation():
    model = tiny_model("published", uniform_init_range=None, energy_hidden_size=64, vocab_size=500)
    embedding = model.decoder.embedding
    assert embedding.weight.std().item() == pytest.approx(2 * embedding.embedding_dim**-0.5, rel=0.05)
    for module in model.modules():
        if isinstance(module, (nn.Linear, EnergyLinear)):
            is_normalized = parametrize.is_parametrized(module)
            weight = module.parametrizations.weight.original if is_normalized else module.weight
            bound = module.in_features**-0.5
            assert 0.9 * bound < weight.abs().max() <= bound
        elif isinstance(module, nn.GRU):
            assert all(0.8 * 8**-0.5 < p.abs().max() <= 8**-0.5 for p in module.parameters())


@pytest.mark.parametrize("bound", [0.1, None])
def test_spectral_norms_are_estimated_for_the_weights_that_were_drawn(bound):
    energy = tiny_model(uniform_init_range=bound, energy_spectral_norm=True).prior.energy
    for name in ("latent_hidden", "merge", "head"):
        largest = torch.linalg.matrix_norm(getattr(energy, name).weight, ord=2).item()
        assert largest == pytest.approx(1, rel=0.05), name


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("preset", DIFFUSION_PRESETS)
def test_bfloat16_autocast_steps_with_a_float32_energy(preset, training):
    model = tiny_model(preset).train(training)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(IDS, MASK, class_labels=torch.tensor([0, 1, 2]))
        if not training:
            assert output.logits.dtype == torch.bfloat16
            assert model.sample_latents(2, class_labels=1).dtype == torch.float32
            assert model.generate(IDS, attention_mask=MASK, max_new_tokens=3).shape == (BATCH, 4)
    for name in ("loss", *LOSS_TERMS, *PER_EXAMPLE):
        assert output[name].dtype == torch.float32 and output[name].isfinite().all(), name
    output.loss.backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_leaves_the_prior_alone(dtype):
    model = tiny_model()
    before = {name: tensor.clone() for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
    half = copy.deepcopy(model).to(dtype)
    for name, tensor in [*half.named_parameters(), *half.named_buffers()]:
        if name.startswith("prior."):
            assert torch.equal(tensor, before[name]) and tensor.dtype == torch.float32, name
        else:
            assert tensor.dtype == dtype, name
    loss, full_loss = half(IDS, MASK, generator=seeded()).loss, model(IDS, MASK, generator=seeded()).loss
    torch.testing.assert_close(loss, full_loss, rtol=0.02, atol=0)
    half.train()(IDS, MASK).loss.backward()
    assert all(p.grad.isfinite().all() for p in half.parameters())
    assert half.generate(IDS, attention_mask=MASK, max_new_tokens=3).shape == (BATCH, 4)
    assert half.sample_latents(2, class_labels="bad").dtype == torch.float32
    assert all(tensor.dtype == torch.float64 for tensor in half.double().state_dict().values())
    assert all(tensor.dtype == torch.float32 for tensor in half.float().state_dict().values())


@pytest.mark.parametrize("call", ["encode", "infer_symbols", "__call__", "generate"])
@pytest.mark.parametrize(
    ("ids", "mask", "message"),
    [
        (IDS.flip(1), MASK.flip(1), r"attention_mask must be ones and then zeros.*got \[0, 0, 1, 1, 1, 1\] in row 1"),
        (IDS, MASK * torch.tensor([1, 0, 1, 1, 1, 1]), r"attention_mask must.*got \[1, 0, 1, 1, 1, 1\] in row 0"),
        (IDS, MASK * torch.tensor([[1], [1], [0]]), r"at least one token, got \[0, 0, 0, 0, 0, 0\] in row 2"),
        (IDS, MASK[:1], r"attention_mask must have input_ids' shape \(3, 6\), got \(1, 6\)"),
        (IDS[:0], MASK[:0], r"input_ids must have shape \(batch_size, sequence_length\), got \(0, 6\)"),
        (IDS[:, :0], MASK[:, :0], r"input_ids must have shape .* got \(3, 0\)"),
        (IDS[0], MASK[0], r"input_ids must have shape .* got \(6,\)"),
    ],
)
def test_bad_text_is_one_clear_error(call, ids, mask, message):
    with pytest.raises(ValueError, match=message):
        getattr(tiny_model(), call)(ids, attention_mask=mask)


def test_shapes_that_do_not_fit_are_named_where_lengths_are_given_and_for_latents():
    model = tiny_model()
    with pytest.raises(ValueError, match=r"attention_mask must have input_ids' shape \(3, 6\), got \(1, 6\)"):
        model(IDS, MASK[:1], lengths=[6, 5, 3])
    with pytest.raises(ValueError, match="latents must have one row per example, 3, got 2"):
        model.conditional_log_likelihood(torch.zeros(2, LATENT), IDS, MASK)
    points = tiny_model(modality="point")
    with pytest.raises(ValueError, match="latents must have one row per example, 4, got 2"):
        points.conditional_log_likelihood(torch.zeros(2, LATENT), points=torch.zeros(4, points.config.point_size))


def test_missing_and_misspelt_input_is_an_error():
    with pytest.raises(ValueError, match="input_ids must be given"):
        tiny_model()(attention_mask=MASK)
    with pytest.raises(TypeError, match="class_label"):
        tiny_model()(IDS, MASK, class_label=torch.tensor([0, 1, 2]))


@pytest.mark.parametrize(
    ("class_labels", "ids"),
    [
        ("bad", [1]),
        (2, [2]),
        (np.int64(1), [1]),
        (torch.tensor(1), [1]),
        ("1", [1]),
        (["neutral", 0, np.int32(1), "2"], [2, 0, 1, 2]),
        (("good", "bad"), [0, 1]),
        (np.array([2, 0]), [2, 0]),
        (torch.tensor([[2], [0]]), [2, 0]),
        (torch.tensor([1, 0], dtype=torch.int32), [1, 0]),
    ],
)
def test_symbols_by_name_and_by_id(class_labels, ids):
    symbols = tiny_model().symbol_ids(class_labels)
    assert symbols.dtype == torch.long and symbols.tolist() == ids


@pytest.mark.parametrize("make", ["tuple", "array", "Series", "Index"])
def test_any_sequence_of_symbols_gives_the_same_texts_as_a_list(make):
    pandas = pytest.importorskip("pandas")
    make = {"tuple": tuple, "array": np.array, "Series": pandas.Series, "Index": pandas.Index}[make]
    for labels in (["good", "neutral"], [2, 0]):
        expected = tiny_model().generate(class_labels=labels, generator=seeded(), max_new_tokens=4)
        written = tiny_model().generate(class_labels=make(labels), generator=seeded(), max_new_tokens=4)
        assert torch.equal(written, expected)


def test_settings_overridden_for_the_model_are_validated():
    config = tiny_model().config
    config.langevin_steps = 0
    with pytest.raises(Exception, match="langevin_steps must be at least 1, got 0"):
        LDEBMModel(config)
    with pytest.raises(Exception, match="num_levels must be at most 501 .* got 600"):
        tiny_model(num_levels=600)
