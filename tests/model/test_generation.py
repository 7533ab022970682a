"""`generate`: all of transformers' decoding methods on top of the prior, seeded by one generator."""

import itertools

import numpy as np
import pytest
import torch
from tiny_models import DIFFUSION_PRESETS, END, LATENT, START, VOCABULARY, OnlyWord, StopAtLength, seeded, tiny_model
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer
from transformers.modeling_outputs import BaseModelOutput

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer

LATENTS = torch.randn(3, LATENT, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model() -> LDEBMModel:
    return tiny_model()


@pytest.fixture(scope="module")
def batch():
    tokenizer = build_tokenizer(["a b c d e f g h"])
    return tokenizer(["a b c", "d", "e f g h a"], padding=True, return_tensors="pt")


def token_log_probabilities(model, latents, sequences):
    """log p of every token after the first, by one pass of the decoder over whole sequences."""
    hidden, _ = model.decoder(sequences[:, :-1], latents)
    return model.decoder.logits(hidden).log_softmax(-1).gather(-1, sequences[:, 1:, None])[..., 0]


# ------------------------------------------------------------------------------------------------- decoding strategies


@torch.no_grad()
def test_greedy_equals_a_bare_loop_over_the_decoder(model):
    tokens, state = torch.full((3, 1), START), None
    for _ in range(8):
        hidden, state = model.decoder(tokens[:, -1:], LATENTS, state)
        tokens = torch.cat([tokens, model.decoder.logits(hidden[:, -1]).argmax(-1, keepdim=True)], 1)
    ended = (tokens == END).cumsum(1).cumsum(1) > 1
    expected = tokens.masked_fill(ended, model.config.pad_token_id)
    generated = model.generate(latents=LATENTS, max_new_tokens=8)
    assert torch.equal(generated, expected[:, : generated.shape[1]])
    assert len(generated.unique()) > 6 and 0 < (generated == END).sum() < 3


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True, "min_new_tokens": 8}])
def test_cached_decoding_equals_decoding_without_a_cache(model, options):
    cached, uncached = (
        model.generate(latents=LATENTS, max_new_tokens=8, use_cache=use_cache, generator=seeded(), **options)
        for use_cache in (True, False)
    )
    assert torch.equal(cached, uncached)


def test_cached_logits_equal_full_teacher_forcing(model):
    output = model.generate(
        latents=LATENTS,
        max_new_tokens=8,
        min_new_tokens=8,
        return_dict_in_generate=True,
        output_logits=True,
    )
    hidden, _ = model.decoder(output.sequences[:, :-1], LATENTS)
    torch.testing.assert_close(torch.stack(output.logits, 1), model.decoder.logits(hidden))


def test_transition_scores_of_sampling_are_the_decoders_log_probabilities(model):
    output = model.generate(
        latents=LATENTS,
        do_sample=True,
        top_k=0,
        max_new_tokens=5,
        eos_token_id=None,
        return_dict_in_generate=True,
        output_scores=True,
        generator=seeded(),
    )
    scores = model.compute_transition_scores(output.sequences, output.scores, normalize_logits=True)
    torch.testing.assert_close(scores, token_log_probabilities(model, LATENTS, output.sequences))


def test_wide_beam_finds_the_best_sequence(model):
    """As many beams as words make a search over two words exhaustive."""
    best = model.generate(
        latents=LATENTS, num_beams=VOCABULARY, max_new_tokens=2, suppress_tokens=[END], eos_token_id=None
    )
    words = [word for word in range(VOCABULARY) if word != END]
    every = torch.tensor([[START, *pair] for pair in itertools.product(words, words)])
    # suppressed words leave the log-probabilities of the others as they are
    for row, latents in enumerate(LATENTS):
        total = token_log_probabilities(model, latents.expand(len(every), -1), every).sum(1)
        assert torch.equal(best[row], every[total.argmax()])


@pytest.mark.parametrize("do_sample", [False, True])
def test_beams_carry_their_own_state(model, do_sample):
    output = model.generate(
        latents=LATENTS,
        num_beams=4,
        num_return_sequences=2,
        do_sample=do_sample,
        max_new_tokens=6,
        eos_token_id=None,
        length_penalty=0.0,
        return_dict_in_generate=True,
        output_scores=True,
        generator=seeded(),
    )
    assert output.sequences.shape == (6, 7)
    expected = token_log_probabilities(model, LATENTS.repeat_interleave(2, 0), output.sequences)
    torch.testing.assert_close(output.sequences_scores, expected.sum(1))
    scores = model.compute_transition_scores(output.sequences, output.scores, output.beam_indices)
    torch.testing.assert_close(scores.sum(1), expected.sum(1))


def test_several_sequences_share_one_latent(model):
    torch.manual_seed(0)
    sampled = model.generate(latents=LATENTS, do_sample=True, num_return_sequences=4, max_new_tokens=6)
    assert sampled.shape[0] == 12
    assert len({tuple(row) for row in sampled[:4].tolist()}) > 1
    greedy = model.generate(latents=LATENTS.repeat_interleave(2, 0), max_new_tokens=6)
    assert torch.equal(greedy[0::2], greedy[1::2])


class Recorder(BaseStreamer):
    def __init__(self):
        self.tokens, self.ended = [], False

    def put(self, value):
        self.tokens += value.flatten().tolist()

    def end(self):
        self.ended = True


def test_streamer_receives_what_is_returned(model):
    streamer = Recorder()
    generated = model.generate(latents=LATENTS[:1], max_new_tokens=6, streamer=streamer)
    assert streamer.ended and streamer.tokens == generated[0].tolist()


def test_logits_processors_and_stopping_criteria(model):
    plain = model.generate(latents=LATENTS, max_new_tokens=6)
    banned = plain[0, 1].item()
    without = model.generate(latents=LATENTS, max_new_tokens=6, bad_words_ids=[[banned]])
    assert banned in plain and banned not in without
    long = model.generate(latents=LATENTS, do_sample=True, min_new_tokens=30, max_new_tokens=30, generator=seeded())
    assert long.shape == (3, 31) and END not in long[:, :-1]
    varied = model.generate(latents=LATENTS, max_new_tokens=6, repetition_penalty=2.0)
    assert sum(len(set(row)) for row in varied.tolist()) > sum(len(set(row)) for row in plain.tolist())
    assert (model.generate(latents=LATENTS, max_new_tokens=3, logits_processor=[OnlyWord()])[:, 1:] == 9).all()
    assert model.generate(latents=LATENTS, eos_token_id=None, stopping_criteria=[StopAtLength()]).shape == (3, 4)
    assert torch.equal(model.generate(latents=LATENTS, do_sample=True, top_k=1, max_new_tokens=6), plain)


@torch.no_grad()
def test_prompt_is_continued(model):
    prompts = torch.tensor([[START, 5, 6], [START, 7, 8], [START, 9, 10]])
    generated = model.generate(latents=LATENTS, decoder_input_ids=prompts, max_new_tokens=1)
    assert torch.equal(generated[:, :3], prompts)
    hidden, _ = model.decoder(prompts, LATENTS)
    assert torch.equal(generated[:, 3], model.decoder.logits(hidden[:, -1]).argmax(-1))
    with pytest.raises(ValueError, match="decoder_input_ids must have one row per text, 3, got 1"):
        model.generate(latents=LATENTS, decoder_input_ids=prompts[:1])


def test_return_dict_and_generation_config(model):
    settings = GenerationConfig(
        max_new_tokens=4, min_new_tokens=4, return_dict_in_generate=True, output_scores=True, pad_token_id=0,
        decoder_start_token_id=START, eos_token_id=END,
    )  # fmt: skip
    output = model.generate(None, settings, latents=LATENTS)
    assert output.sequences.shape == (3, 5) and len(output.scores) == 4
    assert output.scores[0].shape == (3, VOCABULARY)
    assert output.past_key_values.get_seq_length() == 4


@pytest.mark.parametrize("name", ["past_key_values", "cache"])
def test_decoding_step_takes_the_state_by_both_names_that_transformers_has_for_it(model, name):
    prompts = torch.tensor([[START, 5], [START, 6], [START, 7]])
    given = {"encoder_outputs": BaseModelOutput(LATENTS[:, None]), "use_cache": True}
    whole = model(decoder_input_ids=prompts, **given)
    first = model(decoder_input_ids=prompts[:, :1], **given)
    second = model(decoder_input_ids=prompts[:, 1:], **{name: first.past_key_values}, **given)
    torch.testing.assert_close(second.logits[:, -1], whole.logits[:, -1])
    assert second.past_key_values.get_seq_length() == whole.past_key_values.get_seq_length() == 2
    without_state = model(decoder_input_ids=prompts[:, 1:], **given)
    assert not torch.allclose(without_state.logits[:, -1], whole.logits[:, -1])


@pytest.mark.parametrize("preset", DIFFUSION_PRESETS)
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_every_gradient_mode_gives_the_same_texts_and_no_graph(preset, context):
    model = tiny_model(preset)
    expected = model.generate(class_labels=[0, 1], max_new_tokens=6, generator=seeded())
    with context():
        assert torch.equal(model.generate(class_labels=[0, 1], max_new_tokens=6, generator=seeded()), expected)
        assert not model.sample_latents(2, class_labels=1).requires_grad
    # the next training step still works
    ids = torch.tensor([[2, 5, 6, 3]])
    model.train()(ids).loss.backward()
    assert all(p.grad is not None for p in model.parameters())


# ------------------------------------------------------------------------------------------------- what to write about


def test_texts_are_reconstructed_from_their_posterior_means(model, batch):
    expected = model.generate(latents=model.encode(**batch).posterior_mean, max_new_tokens=6)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    assert torch.equal(model.generate(**batch, max_new_tokens=6), expected)
    assert torch.equal(model.generate(ids, attention_mask=mask, max_new_tokens=6), expected)
    assert torch.equal(model.generate(inputs=ids, attention_mask=mask, max_new_tokens=6), expected)
    assert torch.equal(model.generate(ids, max_new_tokens=6), expected)


def test_latents_may_be_of_any_type(model):
    expected = model.generate(latents=LATENTS, max_new_tokens=6)
    for latents in (LATENTS.double(), LATENTS.numpy(), LATENTS.tolist()):
        assert torch.equal(model.generate(latents=latents, max_new_tokens=6), expected)


@pytest.mark.parametrize(
    "class_labels", [["bad", "good"], [1, 0], [1, "good"], torch.tensor([1, 0]), np.array([1, 0]), ("bad", 0)]
)
def test_symbols_by_name_id_list_and_tensor_give_the_same_samples(model, class_labels):
    expected = model.sample_latents(2, class_labels=["bad", "good"], generator=seeded())
    assert torch.equal(model.sample_latents(class_labels=class_labels, generator=seeded()), expected)
    texts = model.generate(latents=expected, max_new_tokens=6)
    assert torch.equal(model.generate(class_labels=class_labels, max_new_tokens=6, generator=seeded()), texts)


def test_one_symbol_serves_all_samples(model):
    one = model.sample_latents(3, class_labels="bad", generator=seeded())
    assert torch.equal(one, model.sample_latents(3, class_labels=[1, 1, 1], generator=seeded()))
    assert model.generate(max_new_tokens=2).shape[0] == 1
    assert model.generate(num_samples=3, max_new_tokens=2).shape[0] == 3
    assert model.generate(class_labels="bad", num_samples=3, max_new_tokens=2).shape[0] == 3


# -------------------------------------------------------------------------------------------------------------- seeds


@pytest.mark.parametrize("options", [{}, {"do_sample": True}, {"do_sample": True, "num_beams": 3}])
def test_generator_decides_everything_and_leaves_the_global_one_alone(model, options):
    state = torch.random.get_rng_state()

    def generate(seed):
        return model.generate(class_labels=[0, 1, 2] * 4, max_new_tokens=8, generator=seeded(seed), **options)

    first = generate(0)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(3)
    assert torch.equal(generate(0), first)
    other = generate(1)
    assert other.shape != first.shape or not torch.equal(other, first)


def test_one_generator_gives_new_texts_at_every_call(model):
    generator = seeded()
    first, second = (
        model.generate(latents=LATENTS, do_sample=True, min_new_tokens=8, max_new_tokens=8, generator=generator)
        for _ in range(2)
    )
    assert not torch.equal(first, second)


def test_without_a_generator_the_global_seed_decides(model):
    texts = []
    for _ in range(2):
        torch.manual_seed(5)
        texts.append(model.generate(num_samples=4, do_sample=True, max_new_tokens=8))
    assert torch.equal(*texts)


# ------------------------------------------------------------------------------------------------ lengths and mistakes


def test_default_length_is_40_tokens_and_max_length_overrules_it(model, tmp_path):
    assert model.generation_config.max_new_tokens == 40
    assert model.generate(latents=LATENTS, eos_token_id=None).shape == (3, 41)
    assert model.generate(latents=LATENTS, eos_token_id=None, max_length=5).shape == (3, 5)
    assert model.generate(latents=LATENTS, eos_token_id=None, max_new_tokens=5).shape == (3, 6)
    model.save_pretrained(tmp_path)
    assert GenerationConfig.from_pretrained(tmp_path).max_new_tokens == 40


@pytest.mark.parametrize("typo", ["class_label", "attn_mask", "max_tokens", "latent", "num_sample"])
def test_misspelt_argument_is_an_error(model, typo):
    with pytest.raises(ValueError, match=f"{typo} cannot be given to generate, which does not read it"):
        model.generate(**{typo: 1})


@pytest.mark.parametrize(
    "arguments",
    [
        {"input_ids": torch.tensor([[2, 5, 3]]), "latents": LATENTS},
        {"input_ids": torch.tensor([[2, 5, 3]]), "class_labels": 1},
        {"inputs": torch.tensor([[2, 5, 3]]), "num_samples": 2},
        {"latents": LATENTS, "guidance_scale": 2.0},
        {"latents": LATENTS, "num_langevin_steps": 2},
    ],
)
def test_contradictory_requests_are_errors(model, arguments):
    with pytest.raises(ValueError, match="generate takes one of input_ids, latents and class_labels/num_samples"):
        model.generate(**arguments)


@pytest.mark.parametrize("method", ["generate", "sample_latents"])
def test_guidance_without_a_symbol_is_an_error(model, method):
    with pytest.raises(ValueError, match="guidance_scale needs class_labels, got 2.0 without them"):
        getattr(model, method)(num_samples=2, guidance_scale=2.0)


@pytest.mark.parametrize("shape", [(LATENT,), (2, LATENT + 1), (1, 2, LATENT), (0, LATENT)])
def test_latents_of_a_wrong_shape_are_an_error(model, shape):
    with pytest.raises(ValueError, match=r"latents must have shape \(n, 4\) with n at least 1, got \("):
        model.generate(latents=torch.zeros(shape))


@pytest.mark.parametrize("options", [{"prompt_lookup_num_tokens": 2}, {"assistant_model": tiny_model()}])
def test_assisted_generation_refuses_politely(model, options):
    with pytest.raises(ValueError, match="assisted generation is not supported with stateful models"):
        model.generate(latents=LATENTS[:1], max_new_tokens=4, **options)


@pytest.mark.parametrize("options", [{}, {"top_k": 1, "do_sample": True}])
def test_rows_that_go_on_keep_their_own_latent_and_state_when_others_have_ended(model, options):
    """Each of 40 texts is the one that its latent gives alone."""
    latents = 2 * torch.randn(40, LATENT, generator=seeded(1))
    together = model.generate(latents=latents, max_new_tokens=8, **options)
    lengths = (together == model.config.pad_token_id).logical_not().sum(1)
    assert len(lengths[:-1].unique()) >= 4 and lengths[-1] == 9, "others end before the last row does, at many places"
    for text, latent in zip(together, latents, strict=True):
        alone = model.generate(latents=latent[None], max_new_tokens=8, **options)[0]
        assert torch.equal(text[: len(alone)], alone)
        assert (text[len(alone) :] == model.config.pad_token_id).all()


# ------------------------------------------------------------------------ refusals, and what is not decoded in steps


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_attentions": True}, "output_attentions must be False"),
        ({"output_hidden_states": True}, "output_hidden_states must be False"),
        ({"generation_config": GenerationConfig(output_attentions=True)}, "output_attentions must be False"),
        ({"stop_strings": ["a"]}, r"stop_strings need the argument tokenizer as well, got \['a'\]"),
        ({"generation_config": GenerationConfig(stop_strings=["a"])}, "stop_strings need the argument tokenizer"),
        ({"stop_strings": ["a"], "tokenizer": build_tokenizer(["a b"])}, "must be used with a tokenizer of subwords"),
    ],
)
def test_what_cannot_be_had_is_refused_before_the_chains_run(model, monkeypatch, options, message):
    monkeypatch.setattr(model, "sample_latents", lambda *_, **__: pytest.fail("sampled"))
    with pytest.raises(ValueError, match=message):
        model.generate(num_samples=2, **options)


def point_model() -> LDEBMModel:
    torch.manual_seed(0)
    sizes = {"modality": "point", "latent_size": 3, "point_hidden_size": 16, "num_symbols": 4}
    return LDEBMModel(LDEBMConfig.from_preset("vae", **sizes)).eval()


def test_points_are_decoded_at_once_and_without_a_graph():
    model, points = point_model(), torch.randn(5, 2, generator=seeded(4))
    latents = model.encode(points=points).posterior_mean
    reconstructed = model.generate(points=points)
    assert not reconstructed.requires_grad and reconstructed.shape == (5, 2)
    torch.testing.assert_close(reconstructed, model.generate(latents=latents.detach()))
    drawn = model.generate(points=points, do_sample=True, generator=seeded())
    assert torch.equal(drawn, model.generate(points=points, do_sample=True, generator=seeded()))
    assert (drawn != reconstructed).all()
    for wrong in ({"attention_mask": torch.ones(5, 2)}, {"max_new_tokens": 3}):
        with pytest.raises(
            ValueError, match=f"a model of points decodes no tokens one by one and cannot take {[*wrong][0]}"
        ):
            model.generate(latents=latents.detach(), **wrong)
    with pytest.raises(ValueError, match=r"generate takes one of points, latents .* got \['points', 'latents'\]"):
        model.generate(points=points, latents=latents)


def test_length_of_a_configuration_counts_begin_mark_and_prompt(model):
    """`max_length` is of the whole text, `max_new_tokens` of what is added, and wins."""
    fixed = {"eos_token_id": None, "pad_token_id": 0, "decoder_start_token_id": START}
    prompts = torch.tensor([[START, 5, 6]] * 3)
    for settings, options, length in [
        ({"max_length": 6}, {}, 6),
        ({"max_length": 6}, {"decoder_input_ids": prompts}, 6),
        ({"max_length": 6, "max_new_tokens": 2}, {}, 3),
        ({"max_length": 6}, {"max_new_tokens": 4}, 5),
        ({"max_new_tokens": 4}, {"decoder_input_ids": prompts}, 7),
    ]:
        settings = GenerationConfig(**settings, **fixed)
        before = settings.to_dict()
        assert model.generate(latents=LATENTS, generation_config=settings, **options).shape == (3, length)
        assert settings.to_dict() == before


def test_tokens_are_drawn_from_the_decoders_distribution(model):
    """First words of 4,000 texts from one latent, to 5 standard errors of their frequencies."""
    count = 4000
    latents = LATENTS[:1].expand(count, -1)
    words = model.generate(latents=latents, do_sample=True, top_k=0, max_new_tokens=1, generator=seeded())[:, 1]
    with torch.no_grad():
        hidden, _ = model.decoder(torch.tensor([[START]]), LATENTS[:1])
        probability = model.decoder.logits(hidden[0, -1]).softmax(-1)
    found = torch.bincount(words, minlength=VOCABULARY) / count
    assert ((found - probability).abs() <= 5 * (probability * (1 - probability) / count).sqrt()).all()


def test_the_models_own_padding_fills_texts_where_no_other_is_asked_for(model):
    texts = model.generate(latents=LATENTS, max_new_tokens=8)
    other = model.generate(latents=LATENTS, max_new_tokens=8, pad_token_id=7)
    is_padding = (texts == END).cumsum(1).cumsum(1) > 1
    assert is_padding.any() and (texts[is_padding] == 0).all() and (other[is_padding] == 7).all()
    assert torch.equal(texts[~is_padding], other[~is_padding])
