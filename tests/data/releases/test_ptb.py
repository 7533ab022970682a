import pytest

from ldebm_hf.data import NO_LABEL, check_corpus, load_corpus


def test_release_layout(write, tmp_path):
    write("ptb.train.txt", " the <unk> fell N points \n it rose \n")
    write("ptb.valid.txt", " no change \n")
    corpus = load_corpus("ptb", data_dir=tmp_path)
    assert corpus.train.texts == ["the <unk> fell N points", "it rose"] and corpus.train.labels == [NO_LABEL] * 2
    assert corpus.validation.texts == ["no change"] and corpus.test is None
    assert corpus.label_names == [] and corpus.notes == [] and "LDC" in corpus.license
    write("ptb.test.txt", " last one \n")
    assert load_corpus("ptb", data_dir=tmp_path).test.texts == ["last one"]


def test_missing_file_is_named(write, tmp_path):
    write("ptb.train.txt", "a\n")
    with pytest.raises(FileNotFoundError, match=r"looked for .*ptb\.valid\.txt"):
        load_corpus("ptb", data_dir=tmp_path)


def test_the_release_itself(data_dir):
    corpus = load_corpus("ptb", data_dir=data_dir / "ptb")
    assert len(corpus.train) == 42_068 and len(corpus.validation) == 3_370
    assert corpus.train.texts[1] == "pierre <unk> N years old will join the board as a nonexecutive director nov. N"
    assert corpus.notes == ["validation: 85 of 3,370 texts also stand in train (kept)"]
    check_corpus(corpus, num_symbols=20)
