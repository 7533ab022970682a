"""A language model as decoder: likelihoods against a plain loop, generation with and without its cache, training."""

import copy
import inspect
import logging
import math

import pytest
import torch
from tiny_base_models import (
    SIZES,
    TEXTS,
    bert,
    gpt2,
    language_model_tokenizer,
    llama,
    own_decoder,
    pretrained_model,
    pretrained_settings,
)
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    DynamicCache,
    FalconConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MistralConfig,
    TextStreamer,
)
from transformers.utils import logging as transformers_logging

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.model.objective import Targets

BASES = {"gpt2": gpt2, "llama": llama}
CONDITIONINGS = ("every_layer", "prefix")
LONGEST = {"max_new_tokens": 12}


def every_kind(function):
    function = pytest.mark.parametrize("conditioning", CONDITIONINGS)(function)
    return pytest.mark.parametrize("base", BASES)(function)


def model_of(base, conditioning="every_layer", **settings):
    """A model whose prefix matters: at initialisation it is small beside the keys of the tokens."""
    model, tokenizer = pretrained_model(decoder=BASES[base](), decoder_conditioning=conditioning, **settings)
    if model.decoder.prefix is not None:
        with torch.no_grad():
            model.decoder.prefix.weight.mul_(3)
    return model, tokenizer


def batch_of(tokenizer, texts=TEXTS):
    return tokenizer(list(texts), return_tensors="pt", padding=True)


def latents_of(model, number: int) -> torch.Tensor:
    return torch.randn(number, model.config.total_latent_size, generator=torch.Generator().manual_seed(1))


# ------------------------------------------------------------------------------------------------------- likelihood


@torch.no_grad()
def plain_log_likelihood(model, base, latent, ids, context=None) -> float:
    """The sum of log-probabilities of a text's tokens, each by a run of the bare language model over those before."""
    config, prefix = model.config, model.decoder.prefix
    language_model = AutoModelForCausalLM.from_pretrained(BASES[base]()).double().eval()
    settings = language_model.config
    values = prefix.bias + prefix.weight @ torch.cat([latent, *([] if context is None else [context])])
    length, layers = config.decoder_prefix_length, settings.num_hidden_layers
    read = [settings.eos_token_id if base == "gpt2" and token == config.bos_token_id else token for token in ids]
    total = 0.0
    for end in range(1, len(ids)):
        embedded = language_model.get_input_embeddings()(torch.tensor([read[:end]]))
        cache = DynamicCache()
        if config.decoder_conditioning == "prefix":
            embedded = torch.cat([values.view(1, length, -1), embedded], 1)
        else:
            for layer, (keys, queries) in enumerate(values.view(layers, 2, 1, -1, length, _head_size(settings))):
                cache.update(keys, queries, layer)
        logits = language_model(inputs_embeds=embedded, past_key_values=cache).logits[0, -1, : config.vocab_size]
        if base == "llama":
            logits[config.pad_token_id] = -torch.inf
        total += logits.log_softmax(-1)[ids[end]].item()
    return total


def _head_size(settings) -> int:
    return settings.hidden_size // settings.num_attention_heads


@every_kind
def test_likelihood_is_that_of_the_language_model_after_the_prefix(base, conditioning):
    model, tokenizer = model_of(base, conditioning)
    model.decoder.double()
    batch, latents = batch_of(tokenizer), latents_of(model, len(TEXTS)).double()
    found = model.conditional_log_likelihood(latents, **batch)
    rows = [ids[mask.bool()].tolist() for ids, mask in zip(*batch.values(), strict=True)]
    expected = [plain_log_likelihood(model, base, z, ids) for z, ids in zip(latents, rows, strict=True)]
    rounding = 1e-12 if base == "gpt2" else 1e-6  # Llama itself takes norms in float32
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=rounding, atol=rounding)
    other = model.conditional_log_likelihood(latents.flip(0), **batch)
    assert (found - other).abs().min() > 1e-4, "the prefix says nothing"


@every_kind
def test_likelihood_in_a_context(base, conditioning):
    model, tokenizer = model_of(base, conditioning, context_size=3, context_hidden_size=4)
    model.double()
    batch, latents = batch_of(tokenizer, TEXTS[:2]), latents_of(model, 2).double()
    turns = batch["input_ids"].flip(0)[:, None]
    found = model.conditional_log_likelihood(latents, **batch, context_input_ids=turns)
    vectors = model.modality.read(**batch, context_input_ids=turns).context
    rows = [ids[mask.bool()].tolist() for ids, mask in zip(*batch.values(), strict=True)]
    expected = [
        plain_log_likelihood(model, base, z, ids, context)
        for z, ids, context in zip(latents, rows, vectors, strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-6)
    other = model.conditional_log_likelihood(latents, **batch, context_input_ids=turns.flip(0))
    assert (found - other).abs().min() > 1e-6


@every_kind
def test_reconstruction_is_the_mean_of_likelihoods(base, conditioning):
    model, tokenizer = model_of(base, conditioning)
    batch = batch_of(tokenizer)
    with torch.no_grad():
        output = model(**batch, generator=0)
        likelihoods = model.conditional_log_likelihood(output.latents, **batch)
    torch.testing.assert_close(output.reconstruction_loss, -likelihoods.mean(), rtol=1e-5, atol=1e-5)
    assert output.logits.shape == (*(batch["input_ids"][:, 1:].shape), model.config.vocab_size)


def test_labels_and_previous_tokens_of_the_trainer():
    model, tokenizer = model_of("gpt2")
    batch = batch_of(tokenizer)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)[:, 1:]
    one, other = (model(**batch, generator=0, **given).loss for given in ({}, {"labels": labels}))
    torch.testing.assert_close(one, other)


# ------------------------------------------------------------------------------------------------------- vocabulary


def test_tokens_that_the_language_model_lacks_are_read_as_its_end_and_never_written():
    model, tokenizer = model_of("gpt2")
    assert {model.config.bos_token_id, model.config.pad_token_id} == {320, 321} == model.decoder.added_tokens
    assert model.decoder.embedding.num_embeddings == 320
    latents = latents_of(model, 1)
    one, other = (
        model.decoder.next_tokens(torch.tensor([[first, 5]]), latents)[0]
        for first in (tokenizer.bos_token_id, tokenizer.eos_token_id)
    )
    assert torch.equal(one, other) and one.shape[-1] == 322
    assert (one.softmax(-1)[..., 320:] == 0).all()
    written = model.generate(num_samples=30, do_sample=True, temperature=50.0, generator=0, **LONGEST)
    body = written[:, 1:]
    ended = (body == tokenizer.eos_token_id).cumsum(1) > 0
    assert not torch.isin(body[~ended], torch.tensor([320, 321])).any()


def test_language_model_may_have_more_embeddings_than_its_tokenizer_has_tokens():
    model, tokenizer = model_of("llama")
    assert model.decoder.embedding.num_embeddings == model.config.vocab_size + 5 == len(tokenizer) + 5
    logits = model.decoder.next_tokens(torch.tensor([[1, 5]]), latents_of(model, 1))[0]
    assert logits.shape[-1] == model.config.vocab_size


def test_added_tokens_with_an_untrained_row_in_the_language_model(tmp_path):
    """A language model may have rows to spare, at which tokens that were added behind its vocabulary lie."""
    language_model = AutoModelForCausalLM.from_pretrained(gpt2())
    language_model.resize_token_embeddings(330, mean_resizing=False)
    language_model.save_pretrained(tmp_path)
    model, tokenizer = pretrained_model(decoder=gpt2())
    settings = pretrained_settings(decoder=gpt2()) | {"decoder_name_or_path": str(tmp_path)}
    wide = LDEBMModel(LDEBMConfig(**settings)).eval()
    wide.load_base_models()
    wide.decoder.prefix.load_state_dict(model.decoder.prefix.state_dict())
    batch, latents = batch_of(tokenizer), latents_of(model, len(TEXTS))
    one, other = (each.conditional_log_likelihood(latents, **batch) for each in (model, wide))
    torch.testing.assert_close(one, other)


# ------------------------------------------------------------------------------------------------------- generation


@every_kind
@pytest.mark.parametrize(
    "options",
    [{}, {"num_beams": 3}, {"do_sample": True}, {"num_return_sequences": 2, "do_sample": True},
     {"num_beams": 4, "num_return_sequences": 2}, {"repetition_penalty": 1.5}, {"min_new_tokens": 6}],
    ids=str,
)  # fmt: skip
def test_cached_generation_is_that_without_a_cache(base, conditioning, options):
    model, tokenizer = model_of(base, conditioning)
    latents = latents_of(model, 6)
    cached = model.generate(latents=latents, generator=0, return_dict_in_generate=True, **LONGEST, **options).sequences
    plain = model.generate(latents=latents, generator=0, use_cache=False, **LONGEST, **options)
    assert torch.equal(cached, plain) and len(cached) == 6 * options.get("num_return_sequences", 1)
    assert len({tuple(row) for row in cached.tolist()}) > 1, "all texts are the same"


@pytest.mark.parametrize("name", ["past_key_values", "cache"])
def test_language_model_may_take_its_cache_by_either_name(name, monkeypatch):
    model, _ = model_of("llama")
    expected = model.generate(latents=latents_of(model, 3), generator=0, **LONGEST)
    forward = LlamaForCausalLM.forward
    current = "cache" if "cache" in inspect.signature(forward).parameters else "past_key_values"
    states = []

    def forward_of_new_models(self, inputs_embeds=None, use_cache=None, cache=None):
        states.append(cache)
        return forward(self, inputs_embeds=inputs_embeds, use_cache=use_cache, **{current: cache})

    def forward_of_old_models(self, inputs_embeds=None, use_cache=None, past_key_values=None):
        return forward_of_new_models(self, inputs_embeds, use_cache, past_key_values)

    renamed = forward_of_new_models if name == "cache" else forward_of_old_models
    monkeypatch.setattr(LlamaForCausalLM, "forward", renamed)
    model, _ = model_of("llama")
    assert torch.equal(model.generate(latents=latents_of(model, 3), generator=0, **LONGEST), expected)
    assert states and None not in states


@every_kind
def test_rows_that_have_ended_leave_the_batch(base, conditioning, monkeypatch):
    model, tokenizer = model_of(base, conditioning)
    latents, sizes = latents_of(model, 8), []
    texts = model.generate(latents=latents, return_dict_in_generate=True, **LONGEST).sequences
    ends = sorted(set(texts[:, 1:-1].flatten().tolist()))  # let some of the rows end early
    next_tokens = model.decoder.next_tokens
    for end in ends:
        expected = model.generate(latents=latents, eos_token_id=end, return_dict_in_generate=True, **LONGEST).sequences
        has_end = (expected[:, 1:] == end).any(1)
        if has_end.any() and not has_end.all():
            break
    else:
        raise AssertionError("no token ends some of the texts and not others")

    def counted(ids, *rest, **options):
        sizes.append(len(ids))
        return next_tokens(ids, *rest, **options)

    monkeypatch.setattr(model.decoder, "next_tokens", counted)
    assert torch.equal(model.generate(latents=latents, eos_token_id=end, **LONGEST), expected)
    assert sizes[0] == 8 and 0 < sizes[-1] < 8 and sizes == sorted(sizes, reverse=True)


def test_streamer_and_stop_strings(capsys):
    model, tokenizer = model_of("gpt2")
    latents = latents_of(model, 1)
    expected = model.generate(latents=latents, **LONGEST)
    streamed = model.generate(latents=latents, streamer=TextStreamer(tokenizer, skip_special_tokens=True), **LONGEST)
    assert torch.equal(streamed, expected)
    assert capsys.readouterr().out.strip() == tokenizer.decode(expected[0], skip_special_tokens=True).strip()
    third = tokenizer.decode(expected[0, 3:4])
    stopped = model.generate(latents=latents, stop_strings=[third], tokenizer=tokenizer, **LONGEST)
    written = tokenizer.decode(stopped[0], skip_special_tokens=True)
    assert third in written and stopped.shape[1] <= 4 < expected.shape[1]


def test_text_that_is_begun_is_continued():
    model, tokenizer = model_of("llama")
    latents = latents_of(model, 3)
    whole = model.generate(latents=latents, **LONGEST)
    begun = model.generate(latents=latents, decoder_input_ids=whole[:, :5], max_new_tokens=8)
    assert torch.equal(begun, whole[:, : begun.shape[1]])


def test_chosen_rows_of_a_state_leave_it_as_it_is():
    model, _ = model_of("llama")
    ids, latents = torch.tensor([[1, 5], [1, 7], [1, 9]]), latents_of(model, 3)
    _, state = model.decoder.next_tokens(ids, latents)
    assert state.get_seq_length() == 2
    chosen = state[torch.tensor([2, 0])]
    logits, after = model.decoder.next_tokens(torch.tensor([[4], [6]]), latents[[2, 0]], chosen)
    assert state.get_seq_length() == 2 and after.get_seq_length() == 3
    expected = model.decoder.next_tokens(torch.tensor([[1, 9, 4], [1, 5, 6]]), latents[[2, 0]])[0]
    torch.testing.assert_close(logits[:, -1], expected[:, -1], rtol=1e-4, atol=1e-4)


# --------------------------------------------------------------------------------------------------------- training


def one_step(model, batch) -> dict[str, torch.Tensor]:
    """The gradient of each parameter that has one, after a step."""
    before = copy.deepcopy(model.state_dict())
    model.train()(**batch, generator=0).loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in model.frozen_base_names())
    return gradients


@every_kind
def test_gradients_reach_the_latent_and_the_adapters_alone(base, conditioning):
    model, tokenizer = model_of(base, conditioning)
    gradients = one_step(model, batch_of(tokenizer))
    of_base = {name for name in gradients if name.startswith("decoder.base.")}
    assert of_base and all("lora_" in name for name in of_base)
    assert model.decoder.base.training
    assert gradients["decoder.prefix.weight"].abs().sum() > 0
    assert gradients["encoder.heads.mean.weight"].abs().sum() > 0
    latents = latents_of(model, len(TEXTS)).requires_grad_()
    model.eval().conditional_log_likelihood(latents, **batch_of(tokenizer)).sum().backward()
    assert (latents.grad.abs().sum(1) > 0).all()


def test_frozen_language_model_stays_in_evaluation_mode():
    model, tokenizer = model_of("gpt2", decoder_lora_rank=0)
    gradients = one_step(model, batch_of(tokenizer))
    assert not model.decoder.base.training and model.decoder.prefix.training
    assert {name for name in gradients if name.startswith("decoder.")} == {
        "decoder.prefix.weight", "decoder.prefix.bias"
    }  # fmt: skip


@pytest.mark.parametrize("base", BASES)
def test_last_layer_or_everything_is_trained(base):
    model, tokenizer = model_of(base, decoder_lora_rank=0, decoder_trainable_layers=1)
    gradients = one_step(model, batch_of(tokenizer))
    layers = "transformer.h" if base == "gpt2" else "model.layers"
    of_base = {name for name in gradients if name.startswith("decoder.base.")}
    assert of_base and all(name.startswith(f"decoder.base.{layers}.1.") for name in of_base)
    model, tokenizer = model_of(base, decoder_lora_rank=0, decoder_trainable_layers=2)
    gradients = one_step(model, batch_of(tokenizer))
    of_base = {name.removeprefix("decoder.base.") for name in gradients if name.startswith("decoder.base.")}
    assert of_base == {name for name, _ in model.decoder.base.named_parameters()}


def test_adapters_start_at_the_language_model_and_change_it():
    model, tokenizer = model_of("gpt2")
    plain, _ = model_of("gpt2", decoder_lora_rank=0)
    plain.decoder.prefix.load_state_dict(model.decoder.prefix.state_dict())
    batch, latents = batch_of(tokenizer), latents_of(model, len(TEXTS))
    one, other = (each.conditional_log_likelihood(latents, **batch) for each in (model, plain))
    torch.testing.assert_close(one, other)
    one_step(model, batch)
    assert (model.eval().conditional_log_likelihood(latents, **batch) - other).abs().max() > 1e-3


@every_kind
def test_word_dropout_hides_previous_tokens_in_training_only(base, conditioning):
    model, tokenizer = model_of(base, conditioning, decoder_word_dropout=0.99, decoder_lora_rank=0)
    batch, latents = batch_of(tokenizer, TEXTS[1:2]), latents_of(model, 1)
    previous, labels = batch["input_ids"][:, :-1], batch["input_ids"][:, 1:]
    targets = Targets(previous, labels, [labels.shape[1]])
    full, _ = model.decoder.reconstruction_loss(targets, latents)
    model.train()
    torch.manual_seed(0)
    hidden, logits = model.decoder.reconstruction_loss(targets, latents, with_logits=True)
    assert not torch.allclose(full, hidden)
    torch.manual_seed(0)
    dropped = model.decoder._drop_words(previous)
    assert (dropped[:, 1:] == -1).float().mean() > 0.8 and dropped[0, 0] == tokenizer.bos_token_id
    hidden.backward()
    assert model.decoder.dropped_word.grad.abs().sum() > 0
    model.eval()
    again, _ = model.decoder.reconstruction_loss(targets, latents)
    assert torch.equal(again, full)


def test_recurrent_decoder_has_word_dropout_too():
    model, tokenizer = pretrained_model(bert(), decoder_word_dropout=0.9)
    batch = batch_of(tokenizer)
    dropped = model.decoder.train()._drop_words(batch["input_ids"])
    assert (dropped[:, 0] == tokenizer.bos_token_id).all()
    assert (dropped[:, 1:] == model.config.unk_token_id).float().mean() > 0.7
    assert torch.equal(model.decoder.eval()._drop_words(batch["input_ids"]), batch["input_ids"])


# ------------------------------------------------------------------------------------------------- no latent, errors


@pytest.mark.parametrize("base", BASES)
def test_model_without_a_latent_is_the_language_model(base):
    model, tokenizer = pretrained_model(decoder=BASES[base](), preset="rnn_lm", decoder_lora_rank=0)
    assert model.decoder.prefix is None
    batch = batch_of(tokenizer, TEXTS[:1])
    ids = batch["input_ids"]
    read = ids.masked_fill(ids == 320, 0) if base == "gpt2" else ids
    language_model = AutoModelForCausalLM.from_pretrained(BASES[base]()).eval()
    with torch.no_grad():
        logits = language_model(read).logits[0, :-1, : model.config.vocab_size]
        if base == "llama":
            logits[:, model.config.pad_token_id] = -torch.inf
        expected = logits.log_softmax(-1).gather(1, ids[0, 1:, None]).sum()
        output = model(**batch)
    torch.testing.assert_close(output.loss, -expected, rtol=1e-5, atol=1e-4)
    assert len(model.generate(num_samples=3, generator=0, **LONGEST)) == 3


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("encoder", [None, bert], ids=["recurrent", "bert"])
def test_resized_vocabulary_is_read_written_and_saved(base, encoder, tmp_path):
    """Of GPT-2 with the embeddings tied to the output, and of Llama without."""
    model, tokenizer = pretrained_model(None if encoder is None else encoder(), BASES[base]())
    batch, size = batch_of(tokenizer, TEXTS), model.config.vocab_size
    is_tied = base == "gpt2"
    with torch.no_grad():
        logits = model(**batch, generator=0).logits
    assert model.resize_token_embeddings(size + 9) is model.get_input_embeddings()
    language_model = model.decoder.base
    assert model.config.vocab_size == size + 9 == len(language_model.get_input_embeddings().weight)
    output = model.get_output_embeddings()
    assert len(output.weight) == size + 9 and (output.weight is model.decoder.embedding.weight) == is_tied
    assert not any("lora" not in name and p.requires_grad for name, p in language_model.named_parameters()), "frozen"
    batch["input_ids"][0, 1] = size + 7
    with torch.no_grad():
        changed = model(**batch, generator=0)
    torch.testing.assert_close(changed.logits[1:, :, :size], logits[1:], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(changed.logits[0, 1:, :size], logits[0, 1:]), "the new token is read"
    with torch.no_grad():
        output.weight[size + 8] = 9 * changed.logits.new_ones(output.weight.shape[1])
        model.decoder.embedding.weight[size + 7] += 1
    written = model.generate(num_samples=2, max_new_tokens=6, sequence_bias=[[[size + 8], 1e6]], generator=0)
    assert (written[:, 1:] == size + 8).all()
    with torch.no_grad():
        changed = model(**batch, generator=0)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    for _ in range(2):  # the second one is saved by a model that was loaded
        loaded = LDEBMModel.from_pretrained(tmp_path)
        assert loaded.config.vocab_size == size + 9 and loaded.config.includes_base_models
        if is_tied:
            assert loaded.get_output_embeddings().weight is loaded.decoder.embedding.weight
        with torch.no_grad():
            again = loaded(**batch, generator=0)
        assert torch.equal(again.logits, changed.logits) and torch.equal(again.loss, changed.loss)
        loaded.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="include_base_models must be True for a model whose decoder.base"):
        loaded.save_pretrained(tmp_path, include_base_models=False)


def test_vocabulary_becomes_smaller_or_a_multiple():
    model, _ = pretrained_model(decoder=llama())
    size, rows = model.config.vocab_size, model.decoder.embedding.weight.clone()
    assert len(rows) > size, "more embeddings than tokens"
    model.resize_token_embeddings(size)
    assert torch.equal(model.decoder.embedding.weight, rows[:size]) and model.config.vocab_size == size
    model.resize_token_embeddings(pad_to_multiple_of=64)
    sizes = {model.config.vocab_size, len(model.decoder.embedding.weight), len(model.encoder.embedding.weight)}
    assert sizes == {math.ceil(size / 64) * 64}
    with pytest.raises(ValueError, match="to keep the special tokens"):
        model.resize_token_embeddings(2)


def test_vocabulary_of_a_language_model_with_code_of_its_own_is_resized(tmp_path):
    model, tokenizer = pretrained_model(decoder=own_decoder(), trust_remote_code=True)
    model.resize_token_embeddings(model.config.vocab_size + 9)
    model.save_pretrained(tmp_path)
    loaded = LDEBMModel.from_pretrained(tmp_path, trust_remote_code=True)
    batch = batch_of(tokenizer, TEXTS)
    with torch.no_grad():
        assert torch.equal(loaded(**batch, generator=0).logits, model(**batch, generator=0).logits)


def test_language_model_may_say_no_number_of_positions():
    model, tokenizer = model_of("gpt2")
    model.decoder.base.config.max_position_embeddings = -1  # as XLNet does
    assert model(**batch_of(tokenizer), generator=0).loss.isfinite()


def test_input_embeddings_are_found_and_replaced():
    model, _ = model_of("gpt2")
    assert model.get_input_embeddings() is model.encoder.embedding
    model, tokenizer = pretrained_model(bert(), llama())
    assert model.get_input_embeddings() is model.decoder.base.model.embed_tokens
    other = nn.Embedding(*model.decoder.embedding.weight.shape)
    model.set_input_embeddings(other)
    assert model.get_input_embeddings() is other is model.decoder.base.model.embed_tokens


@pytest.mark.parametrize("decoder", [gpt2, llama])
def test_embeddings_that_were_replaced_are_the_output_where_they_are_tied_and_are_saved(decoder, tmp_path):
    model, _ = pretrained_model(bert(), decoder())
    other = nn.Embedding(*model.decoder.embedding.weight.shape).requires_grad_(False)
    is_tied = model.get_output_embeddings().weight is model.decoder.embedding.weight
    model.set_input_embeddings(other)
    assert (model.get_output_embeddings().weight is other.weight) == is_tied
    latents = torch.zeros(2, model.config.total_latent_size)
    written = model.generate(latents=latents, return_dict_in_generate=True, output_scores=True, max_new_tokens=4)
    model.save_pretrained(tmp_path)
    loaded = LDEBMModel.from_pretrained(tmp_path)
    assert torch.equal(loaded.get_input_embeddings().weight, other.weight)
    again = loaded.generate(latents=latents, return_dict_in_generate=True, output_scores=True, max_new_tokens=4)
    assert torch.equal(torch.stack(again.scores), torch.stack(written.scores))


def test_uniform_likelihood_of_a_language_model_without_weights():
    """A sanity check of units: nats per text, summed over its tokens and the end mark."""
    model, tokenizer = model_of("llama", decoder_lora_rank=0)
    with torch.no_grad():
        model.decoder.base.lm_head.weight.zero_()
    batch = batch_of(tokenizer)
    lengths = batch["attention_mask"].sum(1) - 1
    expected = -lengths * math.log(len(language_model_tokenizer(llama())) - 1)  # padding cannot be written
    found = model.conditional_log_likelihood(latents_of(model, len(TEXTS)), **batch)
    torch.testing.assert_close(found, expected)


def test_token_outside_of_the_vocabulary_is_named():
    model, tokenizer = pretrained_model(decoder=gpt2())
    ids = torch.tensor([[tokenizer.bos_token_id, model.config.vocab_size + 3, tokenizer.eos_token_id]])
    with pytest.raises(ValueError, match=f"token ids must be in 0..{model.config.vocab_size - 1}, .*got "):
        model.decoder.next_tokens(ids, torch.zeros(1, model.config.total_latent_size))


@pytest.mark.parametrize("base", [gpt2, llama], ids=lambda base: base.__name__)
def test_text_longer_than_the_language_model_reads_is_named(base):
    model, _ = pretrained_model(decoder=base())
    with pytest.raises(ValueError, match="at most 64 tokens, the positions of the language model, got 65: lower data"):
        model.generate(num_samples=1, max_new_tokens=80, eos_token_id=[], generator=0)


# -------------------------------------------------------------------------------------- what is a language model here


def saved_language_model(folder, config) -> LDEBMConfig:
    """The configuration of a model that writes with a language model of 60 tokens."""
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return LDEBMConfig(**SIZES, vocab_size=60, decoder="pretrained", decoder_name_or_path=str(folder),
                       decoder_lora_rank=0, decoder_prefix_length=2)  # fmt: skip


SMALL = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
IN_WORDS = {**SMALL, "intermediate_size": 24, "max_position_embeddings": 64}


@torch.no_grad()
def test_keys_shared_by_all_heads_are_found(tmp_path):
    model = LDEBMModel(saved_language_model(tmp_path, FalconConfig(**SMALL, multi_query=True))).eval()
    model.load_base_models()
    assert model.decoder.prefix_shape == (4, 1, 2, 4)
    ids, latents = torch.tensor([[2, 10, 11, 12]]), torch.randn(2, 1, model.config.total_latent_size)
    whole, _ = model.decoder.next_tokens(ids, latents[0])
    _, state = model.decoder.next_tokens(ids[:, :3], latents[0])
    last, _ = model.decoder.next_tokens(ids[:, 3:], latents[0], state)
    torch.testing.assert_close(last[:, 0], whole[:, 3])
    assert not torch.allclose(model.decoder.next_tokens(ids, latents[1])[0], whole, atol=1e-3)


def test_encoder_that_sees_the_words_it_predicts_is_refused(tmp_path):
    model = LDEBMModel(saved_language_model(tmp_path, BertConfig(**IN_WORDS)))
    with pytest.raises(ValueError, match="decoder_name_or_path must be .* that reads from left to right"):
        model.load_base_models()


def test_encoder_whose_configuration_makes_it_causal_is_a_decoder(tmp_path):
    model = LDEBMModel(saved_language_model(tmp_path, BertConfig(**IN_WORDS, is_decoder=True)))
    model.load_base_models()
    assert torch.isfinite(model(torch.tensor([[2, 10, 11, 3]]), generator=0).loss)


def test_language_model_without_attention_is_refused(tmp_path):
    config = MambaConfig(vocab_size=60, hidden_size=16, state_size=4, num_hidden_layers=2)
    with pytest.raises(ValueError, match="decoder_name_or_path must be a language model with attention"):
        LDEBMModel(saved_language_model(tmp_path, config))


def test_keys_of_another_shape_than_the_configuration_says_are_refused_by_name(tmp_path):
    model = LDEBMModel(saved_language_model(tmp_path, LlamaConfig(**IN_WORDS)))
    model.decoder.prefix_shape = (4, 1, 2, 16)
    with pytest.raises(ValueError, match="decoder_name_or_path must be .* by decoder_conditioning='every_layer'"):
        model.load_base_models()


def test_text_longer_than_all_windows_is_warned_of_once(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    transformers_logging.warning_once.cache_clear()
    config = MistralConfig(**IN_WORDS, num_key_value_heads=4, sliding_window=6)
    model = LDEBMModel(saved_language_model(tmp_path, config))
    latents = torch.zeros(1, model.config.total_latent_size)
    for length, expected in ((4, 0), (5, 1), (6, 1)):
        model.decoder.next_tokens(torch.full((1, length), 10), latents)
        assert caplog.text.count("sees 6 positions at a time") == expected
