import pytest

from ldebm_hf.data import check_corpus, load_corpus


def write_release(write, splits=("train", "dev")):
    for split in splits:
        write(f"sentiment.{split}.0", f"bad {split} .\nworse {split} .\n")
        write(f"sentiment.{split}.1", f"good {split} !\n")


def test_release_layout(write, tmp_path):
    write_release(write)
    corpus = load_corpus("yelp", data_dir=tmp_path)
    assert corpus.train.texts == ["bad train .", "worse train .", "good train !"] and corpus.train.labels == [0, 0, 1]
    assert corpus.validation.texts[2] == "good dev !" and corpus.test is None
    assert corpus.label_names == ["negative", "positive"] and "academic" in corpus.license
    write_release(write, ["test"])
    assert load_corpus("yelp", data_dir=tmp_path).test.labels == [0, 0, 1]


@pytest.mark.parametrize("missing", ["sentiment.train.1", "sentiment.dev.0", "sentiment.test.0"])
def test_missing_file_is_named(write, tmp_path, missing):
    write_release(write, ["train", "dev", "test"])
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError, match=f"looked for .*{missing}"):
        load_corpus("yelp", data_dir=tmp_path)


def test_the_release_itself(data_dir):
    corpus = load_corpus("yelp", data_dir=data_dir / "yelp")
    assert [corpus.train.labels.count(label) for label in (0, 1)] == [136_604, 187_217]
    assert [corpus.validation.labels.count(label) for label in (0, 1)] == [2_000, 2_000]
    assert corpus.notes == []
    check_corpus(corpus, num_symbols=2)
