"""Language models' tokenizers with marks around a text: the same tokens, one form for all of them."""

import pytest
from tiny_base_models import END_OF_TEXT, TEXTS, base_tokenizer, gpt2, llama, pretrained_model
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ldebm_hf.model.masked_texts import pieces_of_words, read_masked_texts
from ldebm_hf.model.text_reading import decode_words, token_pieces, word_groups
from ldebm_hf.text.language_model_tokenization import build_language_model_tokenizer

BASES = {"gpt2": gpt2, "llama": llama}
UNUSUAL = ["", "☃ and 中文 don't, x", "two  spaces", "New\nline"]


@pytest.fixture(params=BASES)
def base(request):
    return request.param


@pytest.fixture
def tokenizer(base):
    return build_language_model_tokenizer(str(BASES[base]()), max_length=32)


def test_tokens_keep_their_ids_and_stand_between_marks(base, tokenizer):
    original = base_tokenizer(BASES[base]())
    for text in [*TEXTS, *UNUSUAL]:
        ids = tokenizer(text)["input_ids"]
        inner = original(text, add_special_tokens=False)["input_ids"]
        assert ids == [tokenizer.bos_token_id, *inner, tokenizer.eos_token_id]
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert tokenizer.eos_token_id == original.eos_token_id


def test_marks_that_are_missing_are_added_behind_the_vocabulary():
    original = base_tokenizer(gpt2())
    tokenizer = build_language_model_tokenizer(str(gpt2()))
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<s>", END_OF_TEXT, "<pad>")
    assert (tokenizer.bos_token_id, tokenizer.pad_token_id) == (len(original), len(original) + 1)
    assert len(tokenizer) == len(original) + 2


def test_marks_that_are_there_are_used():
    original = base_tokenizer(llama())
    tokenizer = build_language_model_tokenizer(str(llama()))
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (original.bos_token_id, original.eos_token_id) == (1, 2)
    assert tokenizer.pad_token == "<unk>", "which stands in no text, because unknown characters become bytes"
    assert len(tokenizer) == len(original)


def test_padding_of_its_own_is_used(tmp_path):
    original = base_tokenizer(gpt2())
    original.add_special_tokens({"pad_token": "[PAD]", "bos_token": "<begin>"})
    original.save_pretrained(tmp_path)
    tokenizer = build_language_model_tokenizer(str(tmp_path))
    assert (tokenizer.bos_token, tokenizer.pad_token) == ("<begin>", "[PAD]") and len(tokenizer) == len(original)


def test_texts_are_cut_and_padded_on_the_right(tokenizer):
    batch = tokenizer([TEXTS[1], "great"], padding=True, truncation=True, max_length=6)
    long, short = batch["input_ids"]
    assert long[0] == short[0] == tokenizer.bos_token_id and long[-1] == tokenizer.eos_token_id and len(long) == 6
    assert short[sum(batch["attention_mask"][1]) :] == [tokenizer.pad_token_id] * (6 - sum(batch["attention_mask"][1]))
    assert set(batch) == {"input_ids", "attention_mask"} and tokenizer.model_max_length == 32


def test_saved_tokenizer_is_the_same(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert isinstance(loaded, PreTrainedTokenizerFast) and loaded.get_vocab() == tokenizer.get_vocab()
    texts = [*TEXTS, *UNUSUAL]
    assert loaded(texts)["input_ids"] == tokenizer(texts)["input_ids"]
    for name in ("bos_token", "eos_token", "pad_token", "model_max_length", "padding_side"):
        assert getattr(loaded, name) == getattr(tokenizer, name)


def test_marks_in_a_text_are_letters_and_can_be_learned(base, tokenizer, tmp_path):
    """A mark that the language model lacks is never written, so as a token of a text it would have no likelihood."""
    tokenizer.save_pretrained(tmp_path)
    texts = ["a <s> and <pad>", "x <unk> y", "a</s>b", f"the end {END_OF_TEXT}."]
    model, _ = pretrained_model(decoder=BASES[base]())
    for one in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        for text in texts:
            ids = one(text)["input_ids"]
            assert not {one.bos_token_id, one.eos_token_id, one.pad_token_id} & set(ids[1:-1])
            assert one.decode(ids, skip_special_tokens=True) == text
        batch = one(texts, padding=True, return_tensors="pt")
        assert model(**batch, generator=0).reconstruction_loss < 1e4


def test_errors(tmp_path):
    with pytest.raises(ValueError, match="max_length must be at least 3 .* got 2"):
        build_language_model_tokenizer(str(gpt2()), max_length=2)
    with pytest.raises(OSError, match="the tokenizer of decoder_name_or_path='no such' cannot be loaded"):
        build_language_model_tokenizer("no such")
    original = base_tokenizer(gpt2())
    original.eos_token = None
    original.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="must have an end mark, and its tokenizer has none"):
        build_language_model_tokenizer(str(tmp_path))


# ------------------------------------------------------------------------------------------------- words and masks


def test_words_of_texts(tokenizer):
    ids = tokenizer(["The food wasn't great!", "☃ x12345, 中文"])["input_ids"]
    assert decode_words(tokenizer, ids) == ["The food wasn't great !", "☃ x 123 45 , 中 文"]


def test_tokens_of_words(tokenizer):
    for text, expected in [
        ("We don't like the bread.", ["We", "don't", "like", "the", "bread", "."]),
        ("great ☃ naïve!", ["great", "☃", "naïve", "!"]),
    ]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        groups = word_groups(tokenizer, ids)
        assert [tokenizer.decode([ids[place] for place in group]).strip() for group in groups] == expected
        assert sorted(place for group in groups for place in group) == list(range(len(ids)))


def test_masks_between_the_tokens_of_a_text(base, tokenizer):
    """What is around a mask has the tokens that it has in the whole text."""
    text = "We don't like the bread."
    whole = tokenizer(text)["input_ids"]
    before_the = len(tokenizer("We don't like")["input_ids"]) - 1
    before_like = len(tokenizer("We don't")["input_ids"]) - 1
    assert tokenizer.decode(whole[before_the]).strip() == "the"
    number = len(tokenizer)
    (masked,) = read_masked_texts(["We don't like <mask> bread."], tokenizer, number).token_ids
    assert masked == [*whole[:before_the], number, *whole[before_the + 1 :]]
    (masked,) = read_masked_texts(["We don't like the bread<mask>"], tokenizer, number).token_ids
    assert masked == [*whole[:-2], number, tokenizer.eos_token_id]
    (masked,) = read_masked_texts(["<span> like the bread."], tokenizer, number).token_ids
    assert masked == [tokenizer.bos_token_id, number + 1, *whole[before_like:]]


def test_masks_stand_for_whole_words(base, tokenizer):
    suppressed = set(pieces_of_words(["the food was <mask>"], tokenizer))
    pieces = token_pieces(tokenizer, range(len(tokenizer)))
    allowed = [piece for token, piece in enumerate(pieces) if token not in suppressed]
    assert "▁great" in allowed and all(piece.startswith("▁") and len(piece) > 1 for piece in allowed)
    at_the_start = pieces_of_words(["<mask> food was great"], tokenizer)
    assert (at_the_start == []) == (base == "gpt2"), "the first word of a text has no space before it"
