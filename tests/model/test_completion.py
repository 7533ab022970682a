"""`complete` on tiny models: what stays and what may change, every prior, and exact answers where they are known."""

import itertools
import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import END, START, VOCABULARY, seeded, tiny_model

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer

MASK, SPAN, UNKNOWN, PAD = VOCABULARY, VOCABULARY + 1, 1, 0
MASKS = {"mask_token_id": MASK, "span_token_id": SPAN, "max_span_length": 3}
FAST = {"num_chains": 2, "num_encoder_rounds": 1, "num_rounds": 1, "num_steps": 2, "num_beams": 4}
WORDS = range(4, VOCABULARY)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def batch(*texts):
    rows = [[START, *text, END] for text in texts]
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def pattern(text) -> re.Pattern:
    word = f"(?:{'|'.join(f'{word} ' for word in WORDS)})"
    parts = [{MASK: word, SPAN: f"{word}{{1,3}}"}.get(token, f"{token} ") for token in text]
    return re.compile(f"{START} {''.join(parts)}{END} ({PAD} )*")


def as_string(tokens):
    return "".join(f"{token} " for token in tokens)


TEXTS = st.lists(
    st.lists(st.sampled_from([MASK, MASK, SPAN, UNKNOWN, 4, 5, 11]), min_size=1, max_size=6).filter(
        lambda text: MASK in text or SPAN in text
    ),
    min_size=1,
    max_size=3,
)


@settings(deadline=None, max_examples=20)
@given(TEXTS, st.integers(0, 3))
def test_every_observed_word_stays_in_order_and_only_words_fill(model, texts, seed):
    output = model.complete(batch(*texts), **MASKS, **FAST, generator=seeded(seed))
    assert len(output.sequences) == len(texts)
    for text, tokens, is_filled in zip(texts, output.sequences.tolist(), output.is_filled.tolist(), strict=True):
        assert pattern(text).fullmatch(as_string(tokens)), (text, tokens)
        observed = [token for token in text if token not in (MASK, SPAN)]
        ending = tokens.index(END)
        assert [token for token, filled in zip(tokens[1:ending], is_filled[1:ending], strict=True) if not filled] == (
            observed
        )
        assert not is_filled[0] and not any(is_filled[ending:])


def test_without_a_latent_it_is_the_likeliest_of_all_fillings():
    model = tiny_model("rnn_lm")
    text = [5, MASK, 8, MASK]
    fillings = [[5, first, 8, second] for first, second in itertools.product(WORDS, repeat=2)]
    ids = batch(*fillings)
    log_likelihoods = model.conditional_log_likelihood(torch.zeros(len(ids), 0), ids)
    best = log_likelihoods.argsort(descending=True)[:4]
    output = model.complete(batch(text), **MASKS, num_beams=64, num_return_sequences=4)
    assert output.sequences.tolist() == ids[best].tolist()
    assert torch.allclose(output.log_likelihoods, log_likelihoods[best], atol=1e-5)
    assert torch.allclose(output.scores, log_likelihoods.log_softmax(0)[best], atol=1e-5)
    assert output.symbol_logits is None and output.latents.shape == (4, 0)


def test_codes_are_completed_by_their_exact_probabilities():
    """A discrete latent of two values: p(filling | observed words), by summing over both."""
    model = tiny_model("di_vae", id2label={0: "on", 1: "off"})
    with torch.no_grad():
        model.decoder.initial_state.weight.mul_(2)
    text = [5, MASK, 8, 4]
    ids = batch(*[[5, word, 8, 4] for word in WORDS])
    codes = torch.eye(2)
    joint = torch.stack([model.conditional_log_likelihood(code.expand(len(ids), 2), ids) for code in codes])
    weight = joint.logsumexp(1).softmax(0)  # p(code | observed)
    expected = (joint.softmax(1) * weight[:, None]).sum(0)
    assert weight.min() > 0.05
    chains = 1000
    output = model.complete(
        batch(text), **MASKS, num_chains=chains, num_encoder_rounds=0, num_rounds=10, num_beams=8,
        num_return_sequences=8, generator=seeded(),
    )  # fmt: skip
    order = [list(WORDS).index(word) for word in output.sequences[:, 2].tolist()]
    assert sorted(order) == list(range(8)) and (output.scores.diff() <= 0).all()
    # A share averages over chains that are in one code or the other: the standard error is at most this.
    widest = (joint.softmax(1)[0] - joint.softmax(1)[1]).abs()
    error = widest * (weight.prod() / chains).sqrt()
    assert ((output.scores.exp() - expected[order]).abs() < 4 * error[order] + 1e-5).all()


@pytest.mark.parametrize(
    "preset", ["consistent", "published", "svebm", "vae", "dgm_vae", "di_vae", "semi_vae", "cgan"]
)
def test_every_prior_completes(preset):
    model = tiny_model(preset)
    output = model.complete(
        batch([5, MASK, 6], [SPAN, 7], [MASK, MASK]), **MASKS, **FAST, num_return_sequences=2, generator=seeded()
    )
    assert output.sequences.shape[0] == 6 and output.latents.shape == (6, model.config.total_latent_size)
    assert (output.sequences[::2] != output.sequences[1::2]).any(1).all()
    for name in ("scores", "log_likelihoods", "latents"):
        assert output[name].isfinite().all(), name
    assert (output.scores.view(3, 2).diff() <= 0).all()
    assert torch.allclose(
        output.log_likelihoods, model.conditional_log_likelihood(output.latents, output.sequences), atol=1e-4
    )
    if model.has_symbols:
        assert torch.equal(output.symbol_logits.softmax(-1), model.infer_symbols(output.sequences))
    else:
        assert output.symbol_logits is None


@pytest.mark.parametrize("preset", ["consistent", "dgm_vae", "di_vae", "semi_vae", "cgan"])
def test_symbols_by_name_and_id(preset):
    model = tiny_model(preset)
    by_name, by_id = (
        model.complete(batch([MASK, 5], [SPAN, 6]), **MASKS, **FAST, class_labels=labels, generator=seeded())
        for labels in (["bad", "good"], torch.tensor([1, 0]))
    )
    assert torch.equal(by_name.sequences, by_id.sequences) and torch.equal(by_name.scores, by_id.scores)
    if preset in ("di_vae", "semi_vae"):
        assert by_id.latents[:, -3:].argmax(-1).tolist() == [1, 0]


def test_symbols_steer_the_words():
    """A decoder that writes one word for each code: it fills in the word of the requested symbol."""
    model = tiny_model("di_vae")
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.zero_()
        model.decoder.rnn.weight_ih_l0[16:19, -3:] = 5 * torch.eye(3)  # the candidate state, of z
        model.decoder.embedding.weight[[7, 8, 9], [0, 1, 2]] = 8.0
    output = model.complete(
        batch(*[[MASK, 9]] * 3), **MASKS, **FAST, class_labels=[0, 1, 2], num_return_sequences=2, generator=seeded()
    )
    assert output.sequences[::2, 1].tolist() == [7, 8, 9]


def test_seeds_repeat_and_padding_changes_nothing(model):
    ids = batch([MASK, 5, MASK, 7])
    first, again = (model.complete(ids, **MASKS, **FAST, generator=seeded(3)) for _ in range(2))
    assert torch.equal(first.sequences, again.sequences) and torch.equal(first.scores, again.scores)
    padded = torch.cat([ids, torch.full((1, 2), PAD)], 1)
    with_padding = model.complete(padded, (padded != PAD).long(), **MASKS, **FAST, generator=seeded(3))
    assert torch.equal(first.sequences, with_padding.sequences)
    assert torch.allclose(first.scores, with_padding.scores, atol=1e-5)


def test_the_unknown_word_is_a_mask_unless_another_is_named(model):
    output = model.complete(batch([5, UNKNOWN]), **FAST, generator=seeded())
    assert output.is_filled.tolist() == [[False, False, True, False]] and output.sequences[0, 2] in WORDS
    output = model.complete(batch([UNKNOWN, MASK]), **MASKS, **FAST, generator=seeded())
    assert output.sequences[0, 1] == UNKNOWN and output.is_filled.tolist() == [[False, False, True, False]]


def test_some_words_fill_no_gap(model):
    output = model.complete(
        batch([MASK] * 3), **MASKS, **FAST, suppress_tokens=[4, 5, 6, 7, 8, 9], generator=seeded()
    )
    assert set(output.sequences[0, 1:4].tolist()) <= {10, 11}


def test_scores_of_all_fillings_add_up(model):
    output = model.complete(
        batch([5, MASK, 6]), **{**MASKS, **FAST, "num_beams": 8}, num_return_sequences=8, generator=seeded()
    )
    assert output.scores.logsumexp(0).item() == pytest.approx(0, abs=1e-5)
    assert sorted(output.sequences[:, 2].tolist()) == list(WORDS)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ([4, 5], {}, "input_ids must have a masked word in every text"),
        ([], {}, "input_ids must have a masked word in every text"),
        ([MASK, 99], {}, "input_ids must be masks or words below 12, got 99 in row 0"),
        ([MASK], {"class_labels": "ugly"}, "class_labels must be in 0..2 or one of 'good', .*; got 'ugly'"),
        ([MASK], {"class_labels": [0, 1]}, "class_labels must name one symbol or 1, got 2"),
        ([MASK], {"guidance_scale": 2.0}, "guidance_scale needs class_labels, got 2.0 without"),
        ([MASK], {"num_chains": 0}, "num_chains must be at least 1, got 0"),
        ([MASK], {"num_steps": -1}, "num_steps must be at least 0, got -1"),
        ([MASK], {"max_span_length": 0}, "max_span_length must be at least 1, got 0"),
        ([MASK], {"num_return_sequences": 11}, "num_return_sequences must be at most num_beams=10, got 11"),
        ([MASK], {"num_return_sequences": 9}, "num_return_sequences must be at most 8, the number of fillings"),
    ],
)
def test_bad_arguments(model, text, options, message):
    with pytest.raises(ValueError, match=message):
        model.complete(batch(text), **{**MASKS, **options}, generator=seeded())


def test_all_fillings_are_returned_if_fewer_are_allowed(model):
    output = model.complete(
        batch([MASK], [MASK, MASK]), **MASKS, num_return_sequences=9, allow_fewer=True, generator=seeded()
    )
    assert len(output.sequences) == 16, "8 words, and 8 fillings of the other text"
    assert sorted(output.sequences[:8, 1].tolist()) == list(WORDS)


def test_models_that_cannot_complete(model):
    points = LDEBMModel(LDEBMConfig(modality="point", latent_size=2, num_symbols=2)).eval()
    with pytest.raises(ValueError, match="cannot be used with a model of points"):
        points.complete(batch([MASK]))
    in_contexts = tiny_model(context_size=6, context_hidden_size=5, context_turns=3)
    with pytest.raises(ValueError, match="cannot be used with a model that has them: see respond"):
        in_contexts.complete(batch([MASK]))
    with pytest.raises(ValueError, match="class_labels cannot be given"):
        tiny_model("rnn_lm").complete(batch([MASK]), **MASKS, class_labels=0)
    with pytest.raises(ValueError, match="prior='discrete' takes no guidance_scale, got guidance_scale=2.0"):
        tiny_model("di_vae").complete(batch([MASK]), **MASKS, class_labels=0, guidance_scale=2.0)
    with pytest.raises(ValueError, match="suppress_tokens must leave a word that may fill gaps"):
        model.complete(batch([MASK]), **MASKS, suppress_tokens=list(WORDS))
    training = tiny_model().train()
    with pytest.raises(ValueError, match="must be in evaluation mode"):
        training.complete(batch([MASK]), **MASKS)


SENTENCES = ["we walk by", "they sit"]  # with four marks 9 tokens


@pytest.fixture(scope="module")
def words():
    tokenizer = build_tokenizer(SENTENCES)
    return tiny_model(vocab_size=len(tokenizer)), tokenizer


def test_strings(words):
    model, tokenizer = words
    texts = ["we <mask> Zork", "<span> by", "<mask>"]
    options = {**FAST, "max_span_length": 2}
    completions = model.complete_texts(
        texts, tokenizer, num_return_sequences=2, batch_size=2, **options, generator=seeded()
    )
    assert [len(found) for found in completions] == [2, 2, 2]
    for completion in completions[0]:
        assert completion.words[0] == "we" and completion.words[2].lower() == "zork"
        assert completion.is_filled == [False, True, False] and completion.words[1] in " ".join(SENTENCES).split()
        assert completion.text == " ".join(completion.words) and completion.symbol in model.config.label2id
    for completion in completions[1]:
        assert completion.words[-1] == "by" and completion.is_filled[0] and len(completion.words) in (2, 3)
        assert math.isfinite(completion.score) and math.isfinite(completion.log_likelihood)
    for completion in completions[2]:
        assert completion.is_filled == [True]


def test_texts_read_as_people_write_and_words_are_raw():
    """Of a corpus that is tokenised in its own way; an unknown word stays as it was written."""
    tokenizer = build_tokenizer(["the soup was n't cold , was it ?"] * 5)
    model = tiny_model(vocab_size=len(tokenizer))
    texts = ["The <mask> wasn't Zorkmid, was it?"]
    ((found,),) = model.complete_texts(texts, tokenizer, **FAST, generator=seeded())
    filled = found.words[1]
    assert found.words == ["the", filled, "was", "n't", "Zorkmid", ",", "was", "it", "?"]
    known = tokenizer.convert_tokens_to_ids([word if word != "Zorkmid" else "cold" for word in found.words])
    assert found.text == tokenizer.decode(known).replace("cold", "Zorkmid")
    assert found.text.startswith("The ") and found.text.endswith("wasn't Zorkmid, was it?")


def test_labels_of_strings_go_with_their_texts(words):
    model, tokenizer = words
    texts = ["we <mask>"] * 3
    one = model.complete_texts(texts, tokenizer, class_labels="bad", **FAST, generator=seeded())
    each = model.complete_texts(texts, tokenizer, class_labels=["bad"] * 3, **FAST, generator=seeded())
    assert one == each
    with pytest.raises(ValueError, match="class_labels must name one symbol or 3, got 2"):
        model.complete_texts(texts, tokenizer, class_labels=["bad", "good"], **FAST)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        model.complete_texts(texts, tokenizer, batch_size=0)
