"""Vectors of texts are computed once, in any order, and survive an interruption."""

import copy
import errno
import json
import os
from threading import Thread

import numpy as np
import pytest
import torch
from tiny_base_models import bert, pretrained_model
from transformers import BertModel

from ldebm_hf.training import features
from ldebm_hf.training.features import PROGRESS, FeatureCache, frozen_features

TEXTS = ["the food was great", "a", "we hate this place", "great", "the review was the food", "", "a place"]


@pytest.fixture
def encoder():
    return pretrained_model(bert())[0].encoder


@pytest.fixture
def calls(encoder, monkeypatch) -> list[list[str]]:
    """The texts of every batch that the encoder computes."""
    seen, compute = [], encoder.features
    monkeypatch.setattr(encoder, "features", lambda texts: seen.append(list(texts)) or compute(texts))
    return seen


def cache(encoder, folder, **options) -> FeatureCache:
    return FeatureCache(encoder, folder, show_progress=False, **{"batch_size": 2, **options})


def test_vectors_are_those_of_the_encoder_in_the_order_of_the_texts(encoder, tmp_path):
    vectors = cache(encoder, tmp_path).of_texts(TEXTS)
    with torch.no_grad():
        expected = torch.cat([encoder.features([text]) for text in TEXTS])
    assert isinstance(vectors, np.memmap) and vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01
    assert cache(encoder, tmp_path).of_texts([]).shape == (0, vectors.shape[1])


def test_batches_are_of_similar_length(encoder, calls, tmp_path):
    cache(encoder, tmp_path).of_texts(TEXTS)
    lengths = [len(text) for batch in calls for text in batch]
    assert lengths == sorted(lengths) and max(map(len, calls)) == 2


def test_known_vectors_are_not_computed_again(encoder, calls, tmp_path):
    first = np.array(cache(encoder, tmp_path).of_texts(TEXTS))
    calls.clear()
    again = cache(encoder, tmp_path).of_texts(TEXTS)
    assert calls == []
    np.testing.assert_array_equal(again, first)
    cache(encoder, tmp_path).of_texts([*TEXTS[:-1], "another place"])
    assert sum(map(len, calls)) == len(TEXTS)


def test_tokens_are_read_as_their_text(encoder, tmp_path):
    token_ids = encoder.tokenizer(["The food was great!", "great coffee"])["input_ids"]
    store = cache(encoder, tmp_path)
    np.testing.assert_array_equal(store.of_tokens(token_ids), store.of_texts(["The food was great!", "great coffee"]))


def test_interrupted_computation_goes_on_and_ends_with_the_same_bits(encoder, calls, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "CHUNK", 3)
    whole = np.array(cache(encoder, tmp_path / "whole").of_texts(TEXTS))
    compute = encoder.features

    def interrupted(texts):
        if "the review was the food" in texts:
            raise KeyboardInterrupt
        return compute(texts)

    with monkeypatch.context() as patch:
        patch.setattr(encoder, "features", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cache(encoder, tmp_path / "cut").of_texts(TEXTS)
    calls.clear()
    resumed = cache(encoder, tmp_path / "cut").of_texts(TEXTS)
    assert sorted(text for batch in calls for text in batch) == sorted(TEXTS[3:])
    np.testing.assert_array_equal(resumed, whole)


@pytest.mark.parametrize(
    "content", ["[", "[3]", '{"rows": "many"}', "{}", '{"rows": 8, "checksums": 7}', '{"rows": 8, "checksums": [1.5]}']
)
def test_damaged_progress_is_said_and_computed_again(encoder, calls, tmp_path, content, caplog):
    whole = np.array(cache(encoder, tmp_path).of_texts(TEXTS))
    (place,) = tmp_path.iterdir()
    (place / PROGRESS).write_text(content)
    calls.clear()
    np.testing.assert_array_equal(cache(encoder, tmp_path).of_texts(TEXTS), whole)
    assert sum(map(len, calls)) == len(TEXTS) and "damaged" in caplog.text


def test_truncated_vectors_are_computed_again(encoder, calls, tmp_path):
    whole = np.array(cache(encoder, tmp_path).of_texts(TEXTS))
    (place,) = tmp_path.iterdir()
    with open(place / features.VECTORS, "r+b") as file:
        file.truncate(8)
    calls.clear()
    np.testing.assert_array_equal(cache(encoder, tmp_path).of_texts(TEXTS), whole)
    assert json.loads((place / PROGRESS).read_text())["rows"] == len(TEXTS)


def test_chunk_with_a_flipped_bit_is_computed_again(encoder, calls, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(features, "CHUNK", 3)
    whole = np.array(cache(encoder, tmp_path).of_texts(TEXTS))
    (place,) = tmp_path.iterdir()
    with open(place / features.VECTORS, "r+b") as file:
        file.seek(4 * whole.shape[1] * 4 + 3)  # in the second chunk
        octet = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([octet ^ 64]))
    calls.clear()
    np.testing.assert_array_equal(cache(encoder, tmp_path).of_texts(TEXTS), whole)
    assert sorted(text for batch in calls for text in batch) == sorted(TEXTS[3:])
    assert "damaged, from text 3 on" in caplog.text


def test_interruption_before_the_first_chunk_of_a_lost_file_leaves_no_zeros(encoder, tmp_path, monkeypatch):
    whole = np.array(cache(encoder, tmp_path).of_texts(TEXTS))
    (place,) = tmp_path.iterdir()
    (place / features.VECTORS).unlink()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(encoder, "features", lambda texts: (_ for _ in ()).throw(KeyboardInterrupt))
        cache(encoder, tmp_path).of_texts(TEXTS)
    np.testing.assert_array_equal(cache(encoder, tmp_path).of_texts(TEXTS), whole)


@pytest.mark.parametrize("part", ["weight", "layout", "length", "batch size"])
def test_other_encoders_have_vectors_of_their_own(encoder, tmp_path, part):
    first = np.array(cache(encoder, tmp_path).of_texts(TEXTS))
    if part == "weight":
        with torch.no_grad():
            encoder.base.embeddings.word_embeddings.weight[5:] *= -1
    elif part == "layout":
        encoder.config.encoder_layout = {**encoder.config.encoder_layout, "prompt": "review: "}
    elif part == "length":
        encoder.base_tokenizer = copy.deepcopy(encoder.base_tokenizer)
        encoder.base_tokenizer.model_max_length = 4
    other = cache(encoder, tmp_path, batch_size=3 if part == "batch size" else 2).of_texts(TEXTS)
    assert len(list(tmp_path.iterdir())) == 2
    assert np.allclose(other, first, atol=1e-5) == (part == "batch size")


def test_base_model_without_a_pooler_keeps_its_vectors(tmp_path):
    """transformers gives such a model a random pooler at every loading."""
    for file in bert().iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    BertModel.from_pretrained(tmp_path, add_pooling_layer=False).save_pretrained(tmp_path)
    encoders = [pretrained_model(tmp_path)[0].encoder for _ in range(2)]
    encoders[1].load_base_weights()
    assert not torch.equal(*(encoder.base.pooler.dense.weight for encoder in encoders))
    for encoder in encoders:
        cache(encoder, tmp_path / "vectors").of_texts(TEXTS)
    assert len(list((tmp_path / "vectors").iterdir())) == 1


def test_room_for_all_vectors_is_had_before_any_is_computed(encoder, calls, tmp_path, monkeypatch):
    """A memory map into a file without blocks would end the process where the disk is full."""

    def blocks_at_first(texts):
        (file,) = tmp_path.rglob(features.VECTORS)
        sizes.append((file.stat().st_size, 512 * file.stat().st_blocks))
        raise KeyboardInterrupt

    sizes: list[tuple[int, int]] = []
    texts = [f"text {number}" for number in range(1000)]
    monkeypatch.setattr(encoder, "features", blocks_at_first)
    with pytest.raises(KeyboardInterrupt):
        cache(encoder, tmp_path).of_texts(texts)
    num_bytes = 4 * 1000 * encoder.pooling.num_features
    assert sizes[0][0] == num_bytes <= sizes[0][1]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot have blocks beforehand")
def test_full_disk_is_said(encoder, calls, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    expected = r"the vectors of the texts need 0.0 MB in .* \(No space left on device\): make room, or choose .*dir"
    with pytest.raises(OSError, match=expected):
        cache(encoder, tmp_path).of_texts(TEXTS)
    assert not calls and not list(tmp_path.rglob(features.VECTORS))
    monkeypatch.undo()
    assert len(cache(encoder, tmp_path).of_texts(TEXTS)) == len(TEXTS)


def test_one_of_two_that_want_the_same_computes(encoder, calls, tmp_path):
    threads = [Thread(target=cache(encoder, tmp_path).of_texts, args=(TEXTS,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(map(len, calls)) == len(TEXTS)


def test_trained_encoders_and_vectors_that_are_not_finite_are_refused(encoder, tmp_path):
    with torch.no_grad():
        encoder.base.embeddings.word_embeddings.weight[:] = torch.nan
    with pytest.raises(ValueError, match="vectors are not finite, of texts such as"):
        cache(encoder, tmp_path).of_texts(TEXTS)
    trained = pretrained_model(bert(), encoder_trainable_layers=1)[0].encoder
    with pytest.raises(ValueError, match="encoder must be frozen"):
        cache(trained, tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"texts": "abc"}, "texts must be a list of strings, got 'abc'"),
        ({"texts": ["a", None]}, r"texts\[1\] must be a string, got None"),
        ({"texts": ["a", "\ud800"]}, r"texts\[1\] must be valid Unicode"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"show_progress": "no"}, "show_progress must be True or False, got 'no'"),
        ({"cache_dir": 3}, "cache_dir must be the path of a folder, got 3"),
        ({"name_or_path": 3}, "name_or_path must be a string, got 3"),
        ({"revision": 3}, "revision must be a string, got 3"),
        ({"trust_remote_code": "false"}, "trust_remote_code must be True or False, got 'false'"),
    ],
    ids=str,
)
def test_arguments_are_refused_before_a_model_is_loaded(options, message):
    with pytest.raises(ValueError, match=message):
        frozen_features(**{"texts": TEXTS, "name_or_path": "no such model", **options})


def test_arguments_of_the_cache_itself_are_checked(encoder, tmp_path):
    for options, message in (
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"folder": 3}, "folder must be the path of a folder, got 3"),
        ({"encoder": "bert"}, "encoder must be a PretrainedEncoder, got 'bert'"),
    ):
        with pytest.raises(ValueError, match=message):
            FeatureCache(**{"encoder": encoder, "folder": tmp_path, **options})
    with pytest.raises(ValueError, match="texts must be a list of strings, got 'abc'"):
        cache(encoder, tmp_path).of_texts("abc")


def test_vectors_without_a_model_are_the_same(encoder, tmp_path):
    vectors = frozen_features(TEXTS, str(bert()), batch_size=2, cache_dir=tmp_path, show_progress=False)
    np.testing.assert_allclose(vectors, cache(encoder, tmp_path / "other").of_texts(TEXTS), atol=1e-5)
