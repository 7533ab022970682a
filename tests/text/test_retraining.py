"""`train_new_from_iterator` gives the tokenizer that the builder gives for the new texts."""

import json

import pytest
from clean_processes import run_clean
from tiny_models import seeded, tiny_model
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ldebm_hf import (
    LDEBMModel,
    LDEBMTokenizer,
    build_document_tokenizer,
    build_subword_tokenizer,
    build_tokenizer,
)
from ldebm_hf.text.tokenization import SPECIAL_TOKENS, read_raw_text

TEXTS = ["the food was great !", "i wo n't go back .", "the waiter was rude , really rude ."]
NEW = ["It's a new text, and the second one.", "This is the text of the second shop!", "one text, second shop"] * 2
BATCHES = [NEW[:2], NEW[2:]]
KINDS = {
    "words": (build_tokenizer, {}),
    "split words": (build_tokenizer, {"lowercase": True, "split_punctuation": True, "markers": ["<d>"]}),
    "words as they are": (build_tokenizer, {"raw_text": False, "max_length": 12}),
    "subwords": (build_subword_tokenizer, {"markers": ["<d>", "<usr>"], "max_length": 30}),
    "documents": (build_document_tokenizer, {"stop_words": ["new"], "min_letters": 2}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batches", [BATCHES, NEW], ids=["batches", "texts"])
def test_new_tokenizer_is_that_of_the_builder(kind, batches, tmp_path):
    build, options = KINDS[kind]
    build(TEXTS, **options).save_pretrained(tmp_path / "old")
    old = AutoTokenizer.from_pretrained(tmp_path / "old")
    assert type(old) is LDEBMTokenizer
    new, expected = old.train_new_from_iterator(iter(batches), 400), build(NEW, 400, **options)
    assert new.backend_tokenizer.to_str() == expected.backend_tokenizer.to_str()
    assert new.model_max_length == expected.model_max_length
    new.save_pretrained(tmp_path / "new")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "new")
    for tokenizer in (new, loaded):
        assert tuple(tokenizer.convert_ids_to_tokens(range(4))) == SPECIAL_TOKENS
        assert tokenizer.special_tokens_map == expected.special_tokens_map
        assert tokenizer(NEW)["input_ids"] == expected(NEW)["input_ids"]
    assert loaded.train_new_from_iterator(TEXTS, 400).get_vocab() == build(TEXTS, 400, **options).get_vocab()


@pytest.mark.parametrize("kind", ["words", "subwords"])
def test_model_reads_and_writes_with_a_new_tokenizer(kind):
    """Its configuration fits: begin, end, padding and unknown words have the ids that it names."""
    build, options = KINDS[kind]
    tokenizer = build(TEXTS, **options).train_new_from_iterator(BATCHES, 300)
    model = tiny_model(vocab_size=len(tokenizer))
    batch = tokenizer(NEW[:2], padding=True, return_tensors="pt")
    assert model(**batch, generator=seeded()).loss.isfinite()
    assert (batch["input_ids"][:, 0] == model.config.bos_token_id).all()
    assert [row[row != model.config.pad_token_id][-1] for row in batch["input_ids"]] == [model.config.eos_token_id] * 2
    written = model.generate(num_samples=2, max_new_tokens=5, generator=1)
    assert any(tokenizer.batch_decode(written, skip_special_tokens=True))


def test_tokens_that_were_added_stay_and_new_ones_follow():
    tokenizer = build_tokenizer(TEXTS)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<old>"]})
    tokenizer.model_max_length = 7
    new = tokenizer.train_new_from_iterator(NEW, 10, new_special_tokens=["<x>"])
    assert len(new) == 12 and new.convert_ids_to_tokens([10, 11]) == ["<old>", "<x>"]
    assert new.model_max_length == 7
    ids = new("<x> second <old>")["input_ids"]
    assert 11 in ids and 10 in ids and new.decode(ids, skip_special_tokens=True).strip() == "second"


def test_what_is_refused(tmp_path):
    tokenizer = build_tokenizer(TEXTS)
    for options in ({"special_tokens_map": {"<s>": "<begin>"}}, {"min_frequency": 2}):
        with pytest.raises(ValueError, match=f"must be called without {next(iter(options))}"):
            tokenizer.train_new_from_iterator(NEW, 100, **options)
    with pytest.raises(ValueError, match="vocab_size must be at least 5"):
        tokenizer.train_new_from_iterator(NEW, 4)
    unknown = LDEBMTokenizer(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(ValueError, match="builder must be known .*: call one of build_"):
        unknown.train_new_from_iterator(NEW, 100)


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        ({"name": "nope"}, "builder must be a dictionary whose name is one of build_.*, got {'name': 'nope'}"),
        ({}, r"builder must be a dictionary whose name is one of build_.*, got \{\}"),
        ([1], r"builder must be a dictionary whose name is one of build_.*, got \[1\]"),
        (None, "builder must be a dictionary whose name is one of build_.*, got None"),
        ({"name": ["build_tokenizer"]}, "builder must be a dictionary whose name is one of build_"),
        ({"name": "build_tokenizer", "texts": ["a"]}, r"must be the options of build_tokenizer, .*, got \['texts'\]"),
        ({"name": "build_tokenizer", "steps": 3}, r"must be the options of build_tokenizer, .*, got \['steps'\]"),
        ({"name": "build_tokenizer", "lowercase": 3}, "lowercase must be True or False, got 3"),
    ],
)
def test_damaged_builder_is_refused_by_name(builder, message, tmp_path):
    build_tokenizer(TEXTS).save_pretrained(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"builder": builder}))
    with pytest.raises(ValueError, match=message):
        AutoTokenizer.from_pretrained(tmp_path).train_new_from_iterator(NEW, 100)


def test_tokenizer_that_learned_to_read_raw_text_is_built_again():
    reading = read_raw_text(build_tokenizer(TEXTS, raw_text=False, max_length=9), TEXTS)
    new = reading.train_new_from_iterator(TEXTS, 100)
    assert new("I won't go back.")["input_ids"] == build_tokenizer(TEXTS)("i wo n't go back .")["input_ids"]
    assert new.model_max_length == 9


PLAIN = """
import json, sys
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=False)
tokenizer.save_pretrained(sys.argv[1] + "/again")
print(json.dumps([type(tokenizer).__name__, tokenizer(json.loads(sys.argv[2]))["input_ids"]]))
"""


def test_programs_without_the_package_read_the_same(tmp_path):
    tokenizer = build_tokenizer(TEXTS)
    tiny_model(vocab_size=len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    printed = run_clean(PLAIN, tmp_path, tmp_path, json.dumps(NEW), package=False)
    kind, ids = json.loads(printed.splitlines()[-1])
    assert kind != "LDEBMTokenizer" and ids == tokenizer(NEW)["input_ids"]
    assert isinstance(PreTrainedTokenizerFast.from_pretrained(tmp_path / "again"), PreTrainedTokenizerFast)
    assert LDEBMModel.from_pretrained(tmp_path).classify("the food was great !")
