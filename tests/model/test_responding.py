"""`respond`: the turns that are read, the role of the responder, and the choice among candidates."""

import pytest
import torch
from tiny_models import seeded, tiny_model

from ldebm_hf import build_tokenizer
from ldebm_hf.model.dialogue_turns import MARKERS
from ldebm_hf.model.responding import consensus

WORDS = ["where are you going today"]
TURNS = ["Where are you", "going", "today you", "are going"]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(WORDS, lowercase=True, markers=MARKERS)


def model(**settings):
    return tiny_model(context_size=6, context_hidden_size=5, context_turns=3, **settings)


def seen_context(monkeypatch, model, tokenizer, turns, **options) -> list[str]:
    """The context that `respond` passes to `generate`, as strings."""
    seen = {}

    def generate(context_input_ids, context_attention_mask, **others):
        seen.update(context=tokenizer.batch_decode(context_input_ids[0], skip_special_tokens=True), **others)
        return torch.tensor([[2, 8, 3]])

    monkeypatch.setattr(model, "generate", generate)
    model.respond(turns, tokenizer, **options)
    return seen


def test_what_is_read_of_the_turns(monkeypatch, tokenizer):
    def contexts(turns, markers="none"):
        return seen_context(monkeypatch, model(speaker_markers=markers), tokenizer, turns)["context"]

    assert contexts(["Where", " are   you "]) == ["<d>", "where", "are you"]
    assert contexts(TURNS) == ["going", "today you", "are going"]
    assert contexts(["today"] * 497 + TURNS[1:]) == ["going", "today you", "are going"]
    assert contexts([]) == ["<d>"]
    assert contexts(["Where", "are"], "context") == ["<d>", "<usr> where", "<sys> are"]
    assert contexts(TURNS, "context") == ["<sys> going", "<usr> today you", "<sys> are going"]
    assert contexts(["<sys> where", "are"], "all") == ["<d>", "<sys> where", "<usr> are"]
    messages = [{"role": "assistant", "content": "where"}, {"role": "assistant", "content": "are"}]
    assert contexts(messages, "context") == ["<d>", "<sys> where", "<sys> are"]
    assert contexts(messages) == ["<d>", "where", "are"]


def test_responses_come_without_their_marker(monkeypatch, tokenizer):
    talker = model(speaker_markers="all")
    monkeypatch.setattr(talker, "generate", lambda **options: tokenizer(["<sys> are you", "going"], padding=True,
                                                                        return_tensors="pt")["input_ids"])  # fmt: skip
    assert talker.respond(TURNS, tokenizer, num_samples=2) == ["are you", "going"]


def test_who_answers(monkeypatch, tokenizer):
    def starts(turns, **options):
        ids = seen_context(monkeypatch, model(speaker_markers="all"), tokenizer, turns, **options)["decoder_input_ids"]
        return tokenizer.convert_ids_to_tokens(ids[0].tolist())

    assert starts([]) == ["<s>", "<usr>"] and starts(["where"]) == ["<s>", "<sys>"]
    assert starts(["where", "are"]) == ["<s>", "<usr>"] and starts(["where"], role="user") == ["<s>", "<usr>"]


@pytest.mark.parametrize("markers", ["none", "all"])
def test_responses(tokenizer, markers):
    talker = model(speaker_markers=markers)
    (response,) = talker.respond(TURNS, tokenizer, generator=seeded(), max_new_tokens=6)
    assert isinstance(response, str)
    assert len(talker.respond(TURNS, tokenizer, num_samples=4, max_new_tokens=6)) == 4
    assert len(talker.respond(TURNS, tokenizer, class_labels=["good", "bad"], max_new_tokens=6)) == 2
    options = {"one_per_symbol": True, "max_new_tokens": 6}
    by_symbol = talker.respond(TURNS, tokenizer, generator=seeded(1), **options)
    assert list(by_symbol) == ["good", "bad", "neutral"]
    assert by_symbol == talker.respond(TURNS, tokenizer, generator=seeded(1), **options)


@pytest.mark.parametrize(
    ("turns", "options", "message"),
    [
        ("where", {}, "turns must be a list of strings or messages, got 'where'"),
        (["where", " "], {}, r"turns\[1\] must contain a word, got ' '"),
        (["<usr>"], {}, r"turns\[0\] must contain a word"),
        ([3], {}, r"turns\[0\] must be a string, got 3"),
        ([{"role": "system", "content": "a"}], {}, r"turns\[0\] must have a role, 'user' or 'assistant'"),
        (TURNS, {"class_labels": "angry"}, "class_labels must be in .* got 'angry'"),
        (TURNS, {"class_labels": "good", "one_per_symbol": True}, "takes neither class_labels nor num_samples"),
        (TURNS, {"role": "system"}, "role must be one of user, assistant"),
        (TURNS, {"role": "user"}, "role needs a model whose responses have speaker markers"),
    ],
)
def test_turns_that_are_refused(tokenizer, turns, options, message):
    with pytest.raises(ValueError, match=message):
        model().respond(turns, tokenizer, **options)


@pytest.mark.parametrize("markers", ["none", "all"])
def test_unknown_and_cut_words_of_turns_are_counted(markers, caplog):
    short = build_tokenizer(WORDS, lowercase=True, markers=MARKERS, max_length=5)
    talker = model(speaker_markers=markers)
    talker.respond(["where"], short, max_new_tokens=4)
    assert not caplog.messages
    talker.respond(["where zzz", "are you going today"], short, num_samples=2, max_new_tokens=4)
    words = {"none": 5, "all": 4}[markers]  # one word less where a marker takes its place
    assert caplog.messages == [
        f"1 of {words} words ({100 // words} %) are unknown to the model, in 1 of 2 turns; "
        "1 of 2 turns are cut to 5 tokens"
    ]


def test_models_that_cannot_respond(tokenizer):
    with pytest.raises(ValueError, match="respond needs a model with contexts"):
        tiny_model().respond(TURNS, tokenizer)
    with pytest.raises(ValueError, match="evaluation mode"):
        model().train().respond(TURNS, tokenizer)
    with pytest.raises(ValueError, match="has no symbols"):
        model(preset="vae").respond(TURNS, tokenizer, one_per_symbol=True)


def test_resampled_responses_start_with_their_marker(monkeypatch, tokenizer):
    """No candidate of the first block is accepted, and all of the next one; each has the marker of its speaker."""
    talker, read = model(speaker_markers="all", vocab_size=len(tokenizer)), []

    def infer_symbols(token_ids, lengths, **context):
        read.append(token_ids[:, 1].tolist())
        return torch.full((len(token_ids), talker.config.num_labels), 0.1 if len(read) == 1 else 0.9)

    monkeypatch.setattr(talker, "infer_symbols", infer_symbols)
    requested = {"class_labels": [0, 1, 2, 0], "min_label_probability": 0.5, "max_new_tokens": 4}
    responses = talker.respond(TURNS, tokenizer, **requested)
    user = tokenizer.convert_tokens_to_ids("<usr>")
    assert len(read) == 2 and all(set(markers) == {user} for markers in read) and len(responses) == 4


def test_consensus_of_candidates(monkeypatch, tokenizer):
    talker = model()
    requested = {}

    def generate(class_labels, num_samples, **options):
        requested.update(class_labels=class_labels.tolist(), num_samples=num_samples)
        texts = ["where", "are you going", "are you", "today", "today", "where going"]
        return tokenizer(texts, padding=True, return_tensors="pt")["input_ids"]

    monkeypatch.setattr(talker, "generate", generate)
    found = talker.respond(TURNS, tokenizer, class_labels=["good", "bad"], num_candidates=3)
    assert found == ["are you going", "today"]
    assert requested == {"class_labels": [0, 0, 0, 1, 1, 1], "num_samples": 6}
    assert talker.respond(TURNS, tokenizer, class_labels="bad", num_samples=2, num_candidates=3) == found
    assert requested == {"class_labels": [1] * 6, "num_samples": 6}
    with pytest.raises(ValueError, match="num_candidates must be at least 1, got 0"):
        talker.respond(TURNS, tokenizer, num_candidates=0)
    with pytest.raises(ValueError, match="class_labels must be one, or one for each of 2 samples, got 3"):
        talker.respond(TURNS, tokenizer, class_labels=[0, 1, 2], num_samples=2, num_candidates=3)


@pytest.mark.parametrize("option", [{"num_return_sequences": 2}, {"return_dict_in_generate": True}])
def test_one_text_for_each_response(tokenizer, option):
    name, value = next(iter(option.items()))
    with pytest.raises(ValueError, match=f"respond writes one text for each row, got {name}={value}"):
        model().respond(TURNS, tokenizer, one_per_symbol=True, **option)


def test_steering_reaches_the_prior(monkeypatch, tokenizer):
    steered = seen_context(
        monkeypatch, model(), tokenizer, TURNS, class_labels=1, guidance_scale=3.0, num_langevin_steps=2, num_beams=4
    )
    assert [steered[name] for name in ("guidance_scale", "num_langevin_steps", "num_beams")] == [3.0, 2, 4]


def test_messages_of_a_chat(monkeypatch, tokenizer):
    parts = [{"type": "text", "text": "where"}, {"type": "text", "text": "are"}]
    messages = [{"role": "user", "content": "<sys> where"}, {"role": "user", "content": parts}]
    seen = seen_context(monkeypatch, model(speaker_markers="context"), tokenizer, messages)["context"]
    assert seen == ["<d>", "<usr> where", "<usr> where are"]
    for wrong in ({"role": ["user"], "content": "where"}, {"role": "user"}):
        with pytest.raises(ValueError, match=r"turns\[0\] must have a role, 'user' or 'assistant', and content"):
            model().respond([wrong], tokenizer)
    for wrong in (None, "where", 3):
        with pytest.raises(ValueError, match="turns must be a list of strings or messages"):
            model().respond(wrong, tokenizer)


def test_the_candidate_most_similar_to_the_others_is_chosen():
    # n-grams of "a b", "a b c", "c": 3, 6, 1. F of the first two 2 * 3 / 9, of the last two 2 / 7, of the outer 0.
    assert consensus(["a b", "a b c", "c"], 3) == [1]  # 1 + 2/3 + 2/7 against 1 + 2/3 and 1 + 2/7
    assert consensus(["x", "a b", "a b", "", "y z", ""], 3) == [1, 3]
    assert consensus(["b", "a"], 2) == [0] and consensus(["b", "a"], 1) == [0, 1]
    with pytest.raises(ValueError, match="divisor of the number of texts, 3, got 2"):
        consensus(["a", "b", "c"], 2)
