"""What a model does not see of texts is counted and said once."""

import logging

import pytest
import torch
from tiny_base_models import pretrained_model, sentence_bert
from tiny_models import TINY_SIZES, seeded, tiny_model
from transformers import TextStreamer
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER

from ldebm_hf import LDEBMConfig, LDEBMModel, build_document_tokenizer, build_subword_tokenizer, build_tokenizer
from ldebm_hf.model.dialogue_turns import BEGIN, MARKERS, encode_contexts
from ldebm_hf.model.masked_texts import pieces_of_words, read_masked_texts
from ldebm_hf.model.text_reading import TextReader, decode_words

TEXTS = ["oil prices rise", "the team wins the match", "prices"]


@pytest.fixture
def words():
    return build_tokenizer(TEXTS, max_length=6)


def test_counts(words):
    reader = TextReader(words, tiny_model(vocab_size=len(words)).config)
    batch = reader(["oil prices <unk> fall", "oil oil oil oil oil"])
    assert batch["input_ids"].shape == (2, 6)
    reader(["zzz yyy", "the team"])
    unread = reader.unread
    assert (unread.num_texts, unread.num_words, unread.num_unknown_words, unread.num_unknown_texts) == (4, 12, 3, 2)
    assert (unread.num_wordless_texts, unread.num_cut_texts, unread.max_length) == (1, 1, 6)
    assert unread.message == (
        "3 of 12 words (25 %) are unknown to the model, in 2 of 4 texts; 1 of 4 texts have no word that the model "
        "knows; 1 of 4 texts are cut to 6 tokens"
    )


@pytest.mark.parametrize(
    ("num_unknown", "num_words", "share"),
    [(3, 3, "100 %"), (997, 1000, "100 %"), (99, 1000, "9.9 %"), (1, 3000, "0.033 %")],
)
def test_shares_are_percentages_that_one_reads(words, num_unknown, num_words, share):
    reader = TextReader(words, tiny_model(vocab_size=len(words)).config, max_length=2 + num_words)
    reader(["zzz " * num_unknown + "oil " * (num_words - num_unknown)])
    assert f"{num_unknown} of {num_words:,} words ({share}) are unknown" in reader.message


def test_tokenizer_may_say_no_longest_text_but_no_nonsense(words):
    config = tiny_model(vocab_size=len(words)).config
    words.model_max_length = VERY_LARGE_INTEGER
    assert TextReader(words, config)(["oil prices " * 60])["input_ids"].shape == (1, 122)
    for wrong in ("x", -1, 0, 2.5):
        words.model_max_length = wrong
        with pytest.raises(ValueError, match=f"model_max_length of the tokenizer must be .*, got {wrong!r}"):
            TextReader(words, config)


def test_different_turns_of_contexts_are_counted_once_and_without_markers():
    tokenizer = build_tokenizer(TEXTS, max_length=6, markers=MARKERS)
    reader = TextReader(tokenizer, tiny_model(vocab_size=len(tokenizer)).config, max_length=5)
    contexts = [(BEGIN, "<usr> oil zzz"), ("<usr> oil zzz", "<sys> the team wins the match")]
    encoded = encode_contexts(contexts, tokenizer, reader=reader)
    assert torch.equal(encoded["context_input_ids"], encode_contexts(contexts, tokenizer)["context_input_ids"])
    assert reader.unread.message == ""
    unread = reader.unread_turns
    assert (unread.num_texts, unread.num_words, unread.num_unknown_words, unread.num_cut_texts) == (2, 5, 1, 1)
    assert reader(["match match match match"])["input_ids"].shape == (1, 5), "cut to the length that was given"
    assert reader.message == (
        "1 of 1 texts are cut to 5 tokens; 1 of 5 words (20 %) are unknown to the model, in 1 of 2 turns; "
        "1 of 2 turns are cut to 5 tokens"
    )


def test_classify_and_explain_warn_once_with_the_counts(words, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("ldebm_hf.model.text_reading"), "propagate", True)
    model = tiny_model(vocab_size=len(words))
    with caplog.at_level("WARNING"):
        model.classify(TEXTS[::2], words)
        assert not caplog.records
        model.classify(["oil zzz", "oil oil oil oil oil zzz"], words, batch_size=1)
        assert len(caplog.records) == 1
        model.explain(["oil zzz", "prices"], words, num_samples=1, generator=seeded())
    assert "1 of 6 words (17 %) are unknown to the model, in 1 of 2 texts; 1 of 2 texts are cut" in caplog.text
    assert "1 of 3 words (33 %) are unknown to the model, in 1 of 2 texts" in caplog.text


def test_texts_that_a_pretrained_encoder_does_not_read_to_the_end_are_counted(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("ldebm_hf.model.text_reading"), "propagate", True)
    model, tokenizer = pretrained_model(sentence_bert())  # which reads 12 tokens, with marks and the prompt
    texts = ["great", "the food was great", "the food was great " * 2, "the food was great " * 2 + "great"]
    lengths = [len(model.encoder.base_tokenizer("Review: " + text)["input_ids"]) for text in texts]
    assert sum(length > 12 for length in lengths) == 1 and 12 in lengths
    reader = TextReader(tokenizer, model.config, encoder=model.encoder)
    for text in texts:
        reader([text])
    expected = "of 1 of 4 texts the pretrained encoder reads only the first 12 of its tokens"
    assert reader.message.endswith(expected) and "cut" not in reader.message
    with caplog.at_level("WARNING"):
        model.classify(texts, tokenizer)
    assert expected in caplog.text


def test_documents_leave_words_out_on_purpose_and_texts_without_any_are_counted():
    tokenizer = build_document_tokenizer(TEXTS)
    torch.manual_seed(0)
    config = LDEBMConfig(**TINY_SIZES | {"vocab_size": len(tokenizer), "modality": "document"})
    reader = TextReader(tokenizer, config)
    reader(["the oil of it", "no", ""])
    assert reader.unread.message == "2 of 3 texts have no word that the model knows"


@pytest.fixture
def subwords():
    return build_subword_tokenizer(["The oil prices rise!", "The team wins."] * 3, 400)


def test_masks_between_subwords(subwords):
    size = len(subwords)
    ids = subwords("The rise!", add_special_tokens=False)["input_ids"]
    masked = read_masked_texts(["The <mask> rise<span>!", "<mask>! The"], subwords, size)
    assert masked.token_ids[0] == [2, ids[0], size, ids[1], size + 1, ids[2], 3]
    assert masked.token_ids[1] == [2, size, ids[2], ids[0], 3]
    assert pieces_of_words(["a <mask>, <MASK>"], subwords) and not pieces_of_words(["(<mask>"], subwords)
    options = {"num_chains": 2, "num_rounds": 1, "num_steps": 2, "num_beams": 4, "generator": seeded()}
    completed = tiny_model(vocab_size=size).complete_texts(["The <mask> rise!", "The <span>!"], subwords, **options)
    for (completion,) in completed:
        assert completion.text.startswith("The") and completion.text.endswith("!")
        assert len(completion.words) == len(completion.is_filled) and any(completion.is_filled)
    (completion,) = tiny_model(vocab_size=size).complete_texts(["The <mask> rise!"], subwords, **options)[0]
    assert completion.words[0] == "The" and completion.words[2:] == ["rise", "!"] and len(completion.words) == 4
    assert completion.is_filled == [False, True, False, False]


def test_symbols_are_named_by_whole_words(subwords):
    model = tiny_model(vocab_size=len(subwords))
    texts = ["The unforeseeable oilfield rises", "The team WINS", "the Team wins"]
    explanation = model.explain(texts, subwords, num_samples=1, generator=seeded())
    words = {item.word for symbol in explanation.symbols for item in symbol.words}
    known = {"The", "unforeseeable", "oilfield", "rises", "team", "Team", "WINS", "wins", "the"}
    assert words <= known and explanation.symbols


def test_streaming_writes_what_decoding_gives(subwords, capsys):
    model = tiny_model(vocab_size=len(subwords))
    ids = model.generate(num_samples=1, generator=seeded(), streamer=TextStreamer(subwords, skip_special_tokens=True))
    assert capsys.readouterr().out.strip() == subwords.decode(ids[0], skip_special_tokens=True).strip()


def test_words_of_decoded_subwords(subwords):
    ids = subwords(["The oil prices rise!"])["input_ids"]
    assert decode_words(subwords, torch.tensor(ids)) == ["The oil prices rise !"]


def test_loaded_models_classify_with_subwords(subwords, tmp_path):
    model = tiny_model(vocab_size=len(subwords))
    model.save_pretrained(tmp_path)
    subwords.save_pretrained(tmp_path)
    assert len(LDEBMModel.from_pretrained(tmp_path).classify(["Anything 我 at all"])) == 1
