"""A model with contexts: what the context's encoder reads, what depends on it, and what is refused."""

import pytest
import torch
from tiny_models import LATENT, TINY_SIZES, VOCABULARY, seeded, tiny_model

from ldebm_hf import PRESETS, LDEBMConfig, LDEBMModel
from ldebm_hf.model.context import ContextEncoder
from ldebm_hf.model.energy import EnergyMLP, EnergyNetwork

CONTEXT = {"context_size": 6, "context_hidden_size": 5, "context_turns": 3}
PRIORS = {"ldebm": {}, "svebm": {"preset": "svebm_ib"}, "vae": {"preset": "vae"}, "mixture": {"preset": "dgm_vae_i"},
          "codes": {"preset": "di_vae"}, "semi": {"preset": "semi_vae_i"}}  # fmt: skip
TEXTS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0], [2, 8, 9, 3]])
TURNS = [[[2, 4, 3], [2, 5, 6, 3]], [[2, 7, 3]], [[2, 8, 3], [2, 9, 10, 11, 3], [2, 6, 3]]]


def padded(contexts, num_turns=0, length=0) -> torch.Tensor:
    """Contexts as one tensor, with padding."""
    num_turns = max(num_turns, *map(len, contexts))
    length = max(length, *(len(turn) for turns in contexts for turn in turns))
    ids = torch.zeros(len(contexts), num_turns, length, dtype=torch.long)
    for row, turns in enumerate(contexts):
        for place, turn in enumerate(turns):
            ids[row, place, : len(turn)] = torch.tensor(turn)
    return ids


@pytest.fixture
def encoder() -> ContextEncoder:
    torch.manual_seed(0)
    return ContextEncoder(LDEBMConfig(**TINY_SIZES, **CONTEXT)).double().eval()


def by_hand(encoder: ContextEncoder, turns) -> torch.Tensor:
    """The context of one dialogue, turn by turn and without any padding, by torch's own GRU."""
    vectors = []
    for turn in turns:
        states, _ = torch.nn.GRU.forward(encoder.of_tokens, encoder.embedding(torch.tensor([turn])))
        scores = encoder.pooling.score(encoder.pooling.hidden(states[0]).tanh())[:, 0]
        vectors.append((scores.exp() / scores.exp().sum()) @ states[0])
    return torch.nn.GRU.forward(encoder.of_turns, torch.stack(vectors)[None])[1][0, 0]


@torch.no_grad()
def test_padding_and_other_contexts_of_the_batch_change_nothing(encoder):
    expected = torch.stack([by_hand(encoder, turns) for turns in TURNS])
    ids = padded(TURNS)
    lengths = [[len(turn) for turn in turns] for turns in TURNS]
    torch.testing.assert_close(encoder(ids), expected)
    torch.testing.assert_close(encoder(ids, context_lengths=lengths), expected)
    torch.testing.assert_close(encoder(padded(TURNS, num_turns=5, length=9)), expected)
    torch.testing.assert_close(encoder(ids.flip(0)), expected.flip(0))
    rubbish = torch.where(ids == 0, 7, ids)  # where the mask says padding, nothing is read
    torch.testing.assert_close(encoder(rubbish, ids != 0), expected)


@torch.no_grad()
def test_turns_have_an_order_and_the_last_ones_count(encoder):
    first, second, third = TURNS[2]
    swapped = encoder(padded([[first, second, third], [second, first, third]]))
    assert (swapped[0] - swapped[1]).abs().max() > 1e-3
    many = [first] * 497 + [first, second, third]
    torch.testing.assert_close(encoder(padded([many])), encoder(padded([[first, second, third]])))
    holes = padded([[first, [], second, [], third]])
    torch.testing.assert_close(encoder(holes), encoder(padded([[first, second, third]])))


@pytest.mark.parametrize("network", [EnergyNetwork, EnergyMLP])
@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_closed_form_gradient_in_a_context_equals_autograd(network, off):
    torch.manual_seed(0)
    sizes = {"latent_size": 5, "num_symbols": 3, "hidden_size": 16, "context_size": 4}
    energy = (EnergyNetwork(**sizes, num_levels=4) if network is EnergyNetwork else EnergyMLP(**sizes)).double().eval()
    scaled, context = torch.randn(7, 5).double().requires_grad_(), torch.randn(7, 4).double()
    level, weight, logit_weight = torch.arange(7) % 4, torch.rand(7, 1).double(), torch.randn(7, 3).double()
    logits = energy(scaled, level, context)
    value = weight[:, 0] * logits.logsumexp(-1) + (logit_weight * logits).sum(-1)
    expected = torch.autograd.grad(value.sum(), scaled)[0]
    with off():
        frozen = energy.frozen_copy(level, weight, logit_weight, context=context.clone())
        found = frozen.value_and_gradient(scaled.detach().clone())
        other = energy.frozen_copy(level, weight, logit_weight, context=context + 1).gradient(scaled.detach().clone())
    torch.testing.assert_close(tuple(map(torch.Tensor.clone, found)), (value.detach(), expected), rtol=0, atol=1e-10)
    assert (other - expected).abs().max() > 1e-4


@pytest.mark.parametrize("name", PRIORS)
def test_every_prior_reads_the_context_without_a_gradient_to_its_encoder(name):
    model = tiny_model(**CONTEXT, **PRIORS[name]).train()
    context = model.context_encoder(padded(TURNS)).detach().requires_grad_()
    posterior = model.posterior(TEXTS, context_input_ids=padded(TURNS))
    assert not posterior.context.requires_grad
    latents = posterior.sample(seeded())
    loss = model.prior.loss(latents, posterior, seeded(), context).loss
    assert torch.autograd.grad(loss, context)[0].abs().max() > 0, "the loss depends on the context"

    model.zero_grad()
    output = model(TEXTS, context_input_ids=padded(TURNS), generator=seeded())
    output.prior_loss.backward(retain_graph=True)
    through_posterior = [p.grad.clone() for p in model.context_encoder.parameters()]
    model.zero_grad()
    posterior = model.posterior(TEXTS, context_input_ids=padded(TURNS))
    latents = posterior.sample(seeded(1)).detach()
    for part in ("mean", "log_variance", "code_logits"):
        if getattr(posterior, part) is not None:
            setattr(posterior, part, getattr(posterior, part).detach())
    model.prior.loss(latents, posterior, seeded(1), posterior.context).loss.backward()
    assert all(p.grad is None for p in model.context_encoder.parameters())
    assert any(gradient.abs().max() > 0 for gradient in through_posterior), "the posterior trains the context encoder"


@pytest.mark.parametrize("name", [*PRIORS, "language_model"])
def test_a_model_with_contexts_trains_and_writes(name):
    model = tiny_model(**CONTEXT, **PRIORS.get(name, {"preset": "rnn_lm"})).train()
    ids = padded(TURNS)
    output = model(TEXTS, context_input_ids=ids, generator=seeded(), skip_logits=False)
    output.loss.backward()
    assert output.logits.shape == (3, 3, VOCABULARY)
    unused = [n for n, p in model.named_parameters() if p.grad is None]
    assert unused == []
    model.eval()
    written = model.generate(context_input_ids=ids, generator=seeded(), max_new_tokens=5)
    assert written.shape[0] == 3 and written.shape[1] <= 6
    again = model.generate(context_input_ids=ids, generator=seeded(), max_new_tokens=5)
    assert torch.equal(written, again)
    beams = model.generate(context_input_ids=ids, generator=seeded(), max_new_tokens=5, num_beams=2)
    assert beams.shape[0] == 3


@torch.no_grad()
@pytest.mark.parametrize("name", PRIORS)
def test_posterior_prior_and_decoder_depend_on_the_context(name):
    model = tiny_model(**CONTEXT, **PRIORS[name])
    one, other = padded([TURNS[0]] * 3), padded([TURNS[2]] * 3)
    means = [model.encode(TEXTS, context_input_ids=ids).posterior_mean for ids in (one, other)]
    assert (means[0] - means[1]).abs().max() > 1e-4
    samples = [model.sample_latents(200, context_input_ids=ids[:1], generator=seeded()) for ids in (one, other)]
    assert (samples[0] - samples[1]).abs().max() > 1e-4
    latents = model.reconstruction_latents(TEXTS, context_input_ids=one)
    scores = [model.conditional_log_likelihood(latents, TEXTS, context_input_ids=ids) for ids in (one, other)]
    assert (scores[0] - scores[1]).abs().min() > 1e-5


@torch.no_grad()
def test_decoding_in_turn_is_decoding_at_once():
    model, ids = tiny_model(**CONTEXT), padded(TURNS)
    latents = model.reconstruction_latents(TEXTS, context_input_ids=ids)
    written = model.generate(latents=latents, context_input_ids=ids, max_new_tokens=6, return_dict_in_generate=True)
    plain = model.generate(latents=latents, context_input_ids=ids, max_new_tokens=6)
    assert torch.equal(written.sequences, plain)
    context = model.context_encoder(ids)
    text = torch.full((3, 1), 2)
    for _ in range(plain.shape[1] - 1):
        hidden, _ = model.decoder(text, latents, context=context)
        text = torch.cat([text, model.decoder.logits(hidden[:, -1:]).argmax(-1)], 1)
    ended = (plain == 3).cumsum(1).cumsum(1) > 1
    assert torch.equal(plain.masked_fill(ended, 0), text.masked_fill(ended, 0))


def test_one_context_serves_all_symbols():
    model = tiny_model(**CONTEXT)
    latents = model.sample_latents(class_labels=["good", "bad", "neutral"], context_input_ids=padded(TURNS[:1]))
    assert latents.shape == (3, LATENT)
    repeated = model.sample_latents(
        class_labels=[0, 1, 2], context_input_ids=padded(TURNS[:1] * 3), generator=seeded()
    )
    single = model.sample_latents(class_labels=[0, 1, 2], context_input_ids=padded(TURNS[:1]), generator=seeded())
    torch.testing.assert_close(single, repeated)
    assert model.generate(num_samples=4, context_input_ids=padded(TURNS[:1]), max_new_tokens=3).shape[0] == 4


@torch.no_grad()
def test_half_precision_writes():
    model = tiny_model(**CONTEXT).to(torch.bfloat16)
    assert model.generate(class_labels=[0, 1], context_input_ids=padded(TURNS[:1]), max_new_tokens=3).shape[0] == 2
    assert model.infer_symbols(TEXTS, context_input_ids=padded(TURNS)).shape == (3, 3)


@torch.no_grad()
@pytest.mark.parametrize("name", PRIORS)
def test_a_saved_model_is_the_same(name, tmp_path):
    model = tiny_model(**CONTEXT, **PRIORS[name])
    model.save_pretrained(tmp_path)
    loaded = LDEBMModel.from_pretrained(tmp_path)
    given = {"context_input_ids": padded(TURNS), "generator": seeded()}
    assert torch.equal(model(TEXTS, **given).loss, loaded(TEXTS, **given | {"generator": seeded()}).loss)
    assert loaded.config.context_turns == 3


@pytest.mark.parametrize("preset", ["consistent", "vae", "di_vae", "dgm_vae"])
def test_without_contexts_nothing_changes(preset):
    assert PRESETS[preset].get("context_size", 0) == 0
    names = tiny_model(preset).state_dict()
    assert not [name for name in names if "context" in name or "merge_features" in name]
    assert tiny_model(preset)(TEXTS, generator=seeded()).context is None


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({}, "context_input_ids must be given to a model with contexts"),
        ({"context_input_ids": torch.zeros(3, 2, 4, dtype=torch.long)}, "at least one token .* none in row 0"),
        ({"context_input_ids": padded([*TURNS[:2], [[]]])}, "none in row 2: the context of the first turn"),
        ({"context_input_ids": padded(TURNS)[:, 0]}, r"must have shape \(batch_size, num_turns, turn_length\)"),
        ({"context_input_ids": padded(TURNS)[:, :0]}, r"must have shape .* got \(3, 0, 5\)"),
        ({"context_input_ids": padded(TURNS[:2])}, "a row per text, 3, got 2"),
        ({"context_input_ids": padded(TURNS).flip(2)}, "padding on the right"),
        ({"context_input_ids": padded(TURNS), "context_attention_mask": torch.ones(3, 2)}, "must have shape"),
    ],
)
def test_contexts_that_are_refused(context, message):
    with pytest.raises(ValueError, match=message):
        tiny_model(**CONTEXT)(TEXTS, **context)


def test_a_model_without_contexts_refuses_them():
    model = tiny_model()
    for call in (model.encode, model.infer_symbols, model, model.reconstruction_latents):
        with pytest.raises(ValueError, match="context_input_ids cannot be given to a model without contexts"):
            call(TEXTS, context_input_ids=padded(TURNS))
    with pytest.raises(ValueError, match="cannot be given to a model without contexts"):
        model.generate(num_samples=2, context_input_ids=padded(TURNS[:1]))
    with pytest.raises(TypeError, match="unexpected argument contxt"):
        model.encode(TEXTS, contxt=1)


def test_samples_need_as_many_contexts_as_texts():
    model = tiny_model(**CONTEXT)
    with pytest.raises(ValueError, match="one for each of 2 samples, got 3"):
        model.generate(num_samples=2, context_input_ids=padded(TURNS))
    with pytest.raises(ValueError, match="class_labels must be in .* got 'angry'"):
        model.generate(class_labels="angry", context_input_ids=padded(TURNS[:1]))
    with pytest.raises(ValueError, match="context_input_ids must be given"):
        model.generate(class_labels="good")


def test_settings_that_cannot_be():
    for settings, name in [
        ({"modality": "point", "context_size": 4}, "context_size must be 0 for a model of points"),
        ({"context_size": -1}, "context_size must be at least 0"),
        ({"context_turns": 0}, "context_turns must be at least 1"),
    ]:
        with pytest.raises(Exception, match=name):
            LDEBMConfig(**settings)
