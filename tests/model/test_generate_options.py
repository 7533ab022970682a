"""
Options of transformers' `generate` that its own suite of generation checks for every model, which is not part of its
source distribution: here for recurrent decoders and for language models.
"""

import pytest
import torch
from tiny_base_models import gpt2, llama, pretrained_model
from tiny_models import seeded, tiny_model
from transformers import GenerationConfig, TextIteratorStreamer
from transformers.modeling_outputs import BaseModelOutput

from ldebm_hf import LDEBMModel, build_subword_tokenizer
from ldebm_hf.model.arguments import DECODING
from ldebm_hf.model.generation import NOT_READ, OFF_BY_NONE

LATENTS = torch.randn(3, 4, generator=seeded())
TEXTS = ["the food was great", "I hate this place", "great coffee, great place"]


def recurrent():
    tokenizer = build_subword_tokenizer(TEXTS * 2, 320)
    return tiny_model(vocab_size=len(tokenizer)), tokenizer


KINDS = {
    "recurrent": recurrent,
    "gpt2": lambda: pretrained_model(decoder=gpt2()),
    "llama": lambda: pretrained_model(decoder=llama()),
}


@pytest.fixture(scope="module", params=KINDS)
def pair(request):
    return KINDS[request.param]()


@pytest.fixture(scope="module")
def model(pair) -> LDEBMModel:
    return pair[0]


def generate(model, **options) -> torch.Tensor:
    return model.generate(latents=LATENTS, **{"max_new_tokens": 6, "generator": 0, **options})


# ----------------------------------------------------------------------------------------------------- search strategy


def test_one_beam_and_one_candidate_are_greedy_search(model):
    plain = generate(model)
    for options in ({"num_beams": 1}, {"do_sample": True, "top_k": 1}, {"do_sample": False}):
        assert torch.equal(generate(model, **options), plain)


def test_beams_are_returned_from_best_to_worst(model):
    options = {"num_beams": 4, "length_penalty": 0.0}
    output = generate(model, num_return_sequences=3, return_dict_in_generate=True, output_scores=True, **options)
    assert len(output.sequences) == 9
    scores = output.sequences_scores.view(3, 3)
    assert (scores[:, :-1] >= scores[:, 1:]).all()
    assert all(len({tuple(row) for row in rows}) == 3 for rows in output.sequences.view(3, 3, -1).tolist())
    best = generate(model, **options)
    assert torch.equal(best, output.sequences[::3, : best.shape[1]])


def test_several_greedy_texts_of_a_latent_and_more_texts_than_beams_are_refused(model):
    with pytest.raises(ValueError, match="num_return_sequences"):
        generate(model, num_return_sequences=2)
    with pytest.raises(ValueError, match="num_return_sequences"):
        generate(model, num_beams=2, num_return_sequences=3)


@pytest.mark.parametrize(
    "options",
    [
        {"penalty_alpha": 0.5, "top_k": 4},
        {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
        {"num_beams": 2, "force_words_ids": [[5]]},
        {"dola_layers": "low"},
        {"prompt_lookup_num_tokens": 2},
        {"assistant_early_exit": 1},
    ],
    ids=lambda options: list(options)[-1],
)
def test_strategies_that_models_with_a_state_do_not_have_are_refused(model, options):
    with pytest.raises(ValueError):
        generate(model, **options)


# ------------------------------------------------------------------------------------------ what is allowed and wanted


@pytest.mark.parametrize("num_beams", [1, 3])
def test_prefix_allowed_tokens(model, num_beams):
    allowed = {0: [7, 8], 1: [9, 10], 2: [11, 12]}
    seen = set()

    def rule(row, tokens):
        seen.add(row)
        return allowed[row]

    texts = generate(model, prefix_allowed_tokens_fn=rule, num_beams=num_beams)
    assert seen == set(allowed)
    for row, words in allowed.items():
        assert set(texts[row, 1:].tolist()) <= set(words)


def test_rules_about_words(model):
    plain = generate(model)
    first = plain[0, 1].item()
    assert first not in generate(model, bad_words_ids=[[first]])
    assert first not in generate(model, suppress_tokens=[first])
    assert first not in generate(model, suppress_tokens={first})
    assert (generate(model, begin_suppress_tokens=[first])[:, 1] != first).all()
    assert (generate(model, sequence_bias=[[[9], 1e4]])[:, 1:] == 9).all()
    for row in generate(model, no_repeat_ngram_size=1, eos_token_id=None).tolist():
        assert len(set(row)) == len(row)
    repeated = [len(row) - len(set(row)) for row in generate(model, eos_token_id=None).tolist()]
    for row, before in zip(generate(model, repetition_penalty=5.0, eos_token_id=None).tolist(), repeated, strict=True):
        assert len(row) - len(set(row)) <= before
    assert (generate(model, forced_eos_token_id=9, eos_token_id=None)[:, -1] == 9).all()


@pytest.mark.parametrize(
    "options", [{"top_p": 0.5}, {"min_p": 0.1}, {"typical_p": 0.9}, {"temperature": 1e-5}], ids=str
)
def test_sampling_follows_its_seed(model, options):
    texts = [generate(model, do_sample=True, min_new_tokens=6, generator=seed, **options) for seed in (0, 0, 1)]
    assert torch.equal(texts[0], texts[1])
    if "temperature" in options:
        assert torch.equal(texts[0], generate(model, min_new_tokens=6)), "as good as greedy"


def test_beams_with_sampling_follow_their_seed(model):
    texts = [generate(model, do_sample=True, num_beams=3, generator=seed, eos_token_id=None) for seed in (0, 0, 1)]
    assert torch.equal(texts[0], texts[1]) and not torch.equal(texts[0], texts[2])


# ------------------------------------------------------------------------------------------------- lengths and outputs


def test_lengths(model):
    free = {"eos_token_id": None}
    assert generate(model, max_new_tokens=4, **free).shape == (3, 5)
    assert model.generate(latents=LATENTS, max_length=4, **free).shape == (3, 4)
    ended = generate(model, sequence_bias=[[[model.config.eos_token_ids[0]], 1e4]], min_new_tokens=3)
    assert ended.shape[1] == 5 and (ended[:, 4] == model.config.eos_token_ids[0]).all()
    assert (ended[:, 1:4] != model.config.eos_token_ids[0]).all()
    with pytest.raises(ValueError, match="max_new_tokens"):
        generate(model, max_new_tokens=0)


def test_scores_and_logits_are_returned(model):
    output = generate(model, return_dict_in_generate=True, output_scores=True, output_logits=True)
    assert torch.equal(output.sequences, generate(model))
    steps = output.sequences.shape[1] - 1
    assert len(output.scores) == len(output.logits) == steps
    assert torch.equal(torch.stack(output.logits, 1)[:, 0].argmax(-1), output.sequences[:, 1])
    for logits, scores in zip(output.logits, output.scores, strict=True):
        assert logits.shape == (3, model.config.vocab_size) and torch.equal(logits, scores)
    beams = generate(model, return_dict_in_generate=True, output_logits=True, num_beams=2)
    assert beams.logits[0].shape == (6, model.config.vocab_size) and beams.beam_indices is not None
    for name in ("output_attentions", "output_hidden_states"):
        with pytest.raises(ValueError, match=f"{name} must be False"):
            generate(model, return_dict_in_generate=True, **{name: True})


def test_saved_generation_config_decides(model, tmp_path, monkeypatch):
    config = GenerationConfig.from_dict(model.generation_config.to_dict() | {"num_beams": 2, "max_new_tokens": 3})
    monkeypatch.setattr(model, "generation_config", config)
    model.save_pretrained(tmp_path)
    loaded = LDEBMModel.from_pretrained(tmp_path)
    assert loaded.generation_config.num_beams == 2 and loaded.generation_config.max_new_tokens == 3
    options = {"return_dict_in_generate": True, "output_scores": True}
    saved, given = loaded.generate(latents=LATENTS, **options), model.generate(latents=LATENTS, **options)
    assert torch.equal(saved.sequences, given.sequences) and saved.sequences.shape[1] <= 4
    assert saved.sequences_scores is not None


def test_streamed_text_is_the_decoded_text(pair):
    model, tokenizer = pair
    streamer = TextIteratorStreamer(tokenizer, skip_special_tokens=True)
    ids = model.generate(latents=LATENTS[:1], max_new_tokens=6, streamer=streamer)
    assert "".join(streamer) == tokenizer.decode(ids[0], skip_special_tokens=True)
    with pytest.raises(ValueError, match="streamer"):
        generate(model, num_beams=2, streamer=streamer)


def test_stop_strings_end_a_text(pair):
    model, tokenizer = pair
    words = tokenizer.convert_ids_to_tokens(generate(model, min_new_tokens=6)[0, 1:])
    stop = tokenizer.convert_tokens_to_string(words[1:2]).strip()
    if not stop or "\ufffd" in stop:
        pytest.skip("the second token of this model's text is no letter")
    stopped = generate(model, min_new_tokens=6, stop_strings=[stop], tokenizer=tokenizer)
    texts = tokenizer.batch_decode(stopped, skip_special_tokens=True)
    assert stop in texts[0] and (stopped[0, 3:] == tokenizer.pad_token_id).all()


# --------------------------------------------------------------------------------------------- caches and other inputs


@pytest.mark.parametrize("name", ["dynamic", "static", "offloaded", "quantized"])
def test_kind_of_cache_changes_nothing(model, name):
    """A decoder keeps a state of its own, whatever cache is named."""
    assert torch.equal(generate(model, cache_implementation=name), generate(model))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"generation_config": "x"}, "generation_config must be a GenerationConfig, got 'x'"),
        ({"inputs_embeds": torch.zeros(3, 2, 8)}, "inputs_embeds cannot be given to generate: give input_ids"),
        ({"decoder_inputs_embeds": torch.zeros(3, 2, 8)}, "decoder_inputs_embeds cannot .* give decoder_input_ids"),
        ({"encoder_outputs": BaseModelOutput(LATENTS[:, None])}, "encoder_outputs cannot .* give latents"),
        ({"past_key_values": object()}, "past_key_values cannot be given to generate: give decoder_input_ids"),
        ({"cache": object()}, "cache cannot be given to generate: give decoder_input_ids"),
        ({"lengths": [2, 2, 2]}, "lengths cannot be given to generate: give attention_mask"),
        ({"encoder_features": torch.zeros(3, 8)}, "encoder_features cannot be given to generate: give latents"),
        ({"position_ids": torch.zeros(3, 1)}, "position_ids cannot be given to generate: give decoder_input_ids"),
        ({"cu_seq_lens_q": torch.tensor([0, 2])}, "cu_seq_lens_q cannot be given to generate: give one text per row"),
        ({"negative_prompt_ids": torch.zeros(3, 1)}, "negative_prompt_ids cannot .* give class_labels"),
        ({"encoder_repetition_penalty": 2.0}, "encoder_repetition_penalty must be 1, because .*, got 2.0"),
        ({"generation_config": GenerationConfig(encoder_no_repeat_ngram_size=2)}, "encoder_no_repeat_ngram_size must"),
        *(
            ({name: value}, f"{name} cannot be given to generate, which does not read it")
            for name, value in {
                "is_causal": False,
                "num_items_in_batch": 3,
                "output_router_logits": True,
                "mm_encoder_outputs": (),
                "classification_only": True,
                "kl_scale": 0.5,
                "skip_logits": True,
                "return_loss": True,
                "context": torch.zeros(3, 4),
                "decoder_attention_mask": torch.ones(3, 1),
                "decoder_latents": torch.zeros(3, 4),
                "decoder_input": torch.zeros(3, 4),
                "max_new_token": 3,
            }.items()
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_inputs_that_are_not_read_are_refused_before_any_work(model, options, message, monkeypatch):
    monkeypatch.setattr(
        type(model.decoder), "next_tokens", lambda *args, **kwargs: pytest.fail("decoded all the same")
    )
    with pytest.raises(ValueError, match=message):
        generate(model, **options)


def test_options_that_change_nothing_are_taken(model):
    ids = torch.tensor([[model.config.bos_token_id, 7, 8, model.config.eos_token_ids[0]]])
    options = {"encoder_repetition_penalty": 1.0, "encoder_no_repeat_ngram_size": 0, "labels": ids[:, 1:]}
    assert torch.equal(model.generate(ids, **options), model.generate(ids))


@pytest.mark.parametrize("do_sample", [False, True])
def test_none_is_the_default_of_every_option_that_it_does_not_turn_off(model, do_sample):
    names = (set(vars(GenerationConfig())) | NOT_READ.keys() | DECODING.keys()) - OFF_BY_NONE - {"do_sample"}
    options = {name: None for name in names if not name.startswith("_")}
    assert {"num_beams", "num_return_sequences", "max_length", "use_cache"} <= options.keys()
    expected = model.generate(latents=LATENTS, do_sample=do_sample, generator=1)
    assert torch.equal(model.generate(latents=LATENTS, do_sample=do_sample, generator=1, **options), expected)


@pytest.mark.parametrize("side", ["left", "right"])
def test_prompts_with_padding_are_refused(model, side):
    start, pad = model.config.decoder_start_token_id, model.config.pad_token_id
    padded = [pad, start, 9] if side == "left" else [start, 9, pad]
    prompts = torch.tensor([[start, 7, 8], [start, 7, 9], padded])
    with pytest.raises(ValueError, match=r"decoder_input_ids must have no padding, got \[.*\] in row 2: give prompts"):
        generate(model, decoder_input_ids=prompts)


def test_prompts_begin_with_the_start_mark_also_if_it_is_the_padding_token():
    model = tiny_model(decoder_start_token_id=0)
    assert model.config.pad_token_id == 0
    for prompt in ([0], [0, 7, 8]):
        assert generate(model, decoder_input_ids=[prompt] * 3).shape[1] > len(prompt)
    for prompt in ([0, 7, 0], [0, 0, 7]):
        with pytest.raises(ValueError, match="decoder_input_ids must have no padding"):
            generate(model, decoder_input_ids=[prompt] * 3)


@pytest.mark.parametrize("source", [{"latents": LATENTS}, {"num_samples": 3}, {"class_labels": [0, 1, 2]}, {}])
def test_a_mask_without_the_texts_that_it_belongs_to_is_refused(source):
    with pytest.raises(ValueError, match="attention_mask must be given with input_ids"):
        tiny_model().generate(**source, attention_mask=[[1, 1, 0]] * 3)


def test_texts_that_begin_with_padding_are_refused(model):
    padded = torch.tensor([[model.config.pad_token_id, model.config.bos_token_id, 7, 8]])
    for options in ({}, {"attention_mask": torch.tensor([[0, 1, 1, 1]])}):
        with pytest.raises(ValueError, match="with padding on the right"):
            model.generate(padded, **options)


def test_whole_batches_of_a_trainer_are_reconstructed(model):
    """`Seq2SeqTrainer` hands on labels, and says whether devices wait for each other."""
    ids = torch.tensor([[model.config.bos_token_id, 7, 8, model.config.eos_token_ids[0]]])
    batch = {"class_labels": torch.tensor([1]), "labels": ids[:, 1:]}
    assert torch.equal(model.generate(ids, **batch, synced_gpus=False), model.generate(ids))
    with pytest.raises(ValueError, match="generate takes one of"):
        model.generate(ids, **batch)
