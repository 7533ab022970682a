import json

import pytest

from ldebm_hf.data import check_corpus, load_corpus
from ldebm_hf.data.releases.agnews import AGNews

ITEMS = [
    {"label": 0, "title": "Vote", "description": "Leaders meet\\ at the border town.", "text": "Vote Leaders …"},
    {"label": 1, "text": "The cup final ends level.", "description_only": True},
    {"label": 2, "text": "Shares Stocks close higher again."},
    {"label": 3, "title": "", "description": "A new browser is out.", "text": "A new browser is out."},
]
CSV = '"3","Wall St.","Short sellers are back\\, he said"\n"4","Chips","A ""fast"" chip"\n' * 24


def write_jsonl(write, names=("train", "dev")):
    for name in names:
        write(f"{name}.jsonl", "".join(json.dumps(item) + "\n" for item in ITEMS))


def test_descriptions_or_titles_too(write, tmp_path):
    write_jsonl(write)
    corpus = load_corpus("agnews", data_dir=tmp_path)
    assert corpus.train.texts == ["Leaders meet at the border town.", "The cup final ends level.",
                                  "Shares Stocks close higher again.", "A new browser is out."]  # fmt: skip
    assert corpus.train.labels == [0, 1, 2, 3] and corpus.test is None
    assert corpus.label_names == ["World", "Sports", "Business", "Sci/Tech"] and "non-commercial" in corpus.license
    assert "train.jsonl: 1 items whose title is not marked keep it" in corpus.notes
    with_titles = AGNews(data_dir=tmp_path, titles=True).read()
    assert with_titles.train.texts[0] == "Vote Leaders meet at the border town."
    assert with_titles.train.texts[1:] == corpus.train.texts[1:] and with_titles.notes == []
    write_jsonl(write, ["test"])
    assert len(AGNews(data_dir=tmp_path).read().test) == 4


def test_the_release_without_header_and_from_class_1(write, tmp_path):
    write("train.csv", CSV)
    corpus = AGNews(data_dir=tmp_path, titles=True).read()
    assert len(corpus.train) == 46 and len(corpus.validation) == 2 and corpus.test is None
    assert corpus.validation.classes == {2, 3}, "held out by class"
    assert set(corpus.train.texts) == {"Wall St. Short sellers are back , he said", 'Chips A "fast" chip'}
    assert AGNews(data_dir=tmp_path).read().train.texts.count('A "fast" chip') == 23
    write("test.csv", "Class Index,Title,Description\n" + CSV)
    assert len(AGNews(data_dir=tmp_path).read().test) == 48, "the header of some copies is no item"


def test_malformed_items_are_named(write, tmp_path):
    write("train.csv", '"3","a","b"\n"5","a","b"\n')
    with pytest.raises(ValueError, match="line 2: label must be 1 to 4, found '5'"):
        AGNews(data_dir=tmp_path).read()
    write("train.csv", '"3","a","b"\n"3","a"\n')
    with pytest.raises(ValueError, match="line 2: expected class, title and description, found"):
        AGNews(data_dir=tmp_path).read()
    (tmp_path / "train.csv").unlink()
    with pytest.raises(FileNotFoundError, match="looked for .*train.jsonl"):
        AGNews(data_dir=tmp_path).read()
    with pytest.raises(ValueError, match="titles=False needs data_dir"):
        AGNews().read()
    with pytest.raises(ValueError, match="titles=True cannot be used with source 'synthetic': .* of 'agnews'"):
        load_corpus("synthetic", titles=True)


def test_from_the_hub(monkeypatch):
    datasets = pytest.importorskip("datasets")
    rows = {"text": ["Vote: leaders meet"] * 48, "label": [0, 1] * 24}
    loaded = datasets.DatasetDict(train=datasets.Dataset.from_dict(rows), test=datasets.Dataset.from_dict(rows))
    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda source, **options: asked.append(source) or loaded)
    corpus = load_corpus("agnews", titles=True)
    assert asked == ["fancyzhx/ag_news"]
    assert (len(corpus.train), len(corpus.validation), len(corpus.test)) == (46, 2, 48)


def test_short_texts_are_left_out_before_labels_are_drawn(write, tmp_path):
    write_jsonl(write)
    corpus = load_corpus("agnews", data_dir=tmp_path, min_words=3)
    # Words of three letters or more that are no stop words: "cup final ends level" stays, "new browser" goes
    assert [text.split()[0] for text in corpus.train.texts] == ["Leaders", "The", "Shares"]
    assert "validation: 1 texts of fewer than 3 words left out" in corpus.notes
    with pytest.raises(ValueError, match="train holds no text of min_words=9 or more"):
        load_corpus("agnews", data_dir=tmp_path, min_words=9)


def test_the_real_items(data_dir):
    """The published runs count 4,987 validation documents of more than three words."""
    corpus = load_corpus("agnews", data_dir=data_dir / "agnews", min_words=4, label_count=200, label_seed=3)
    assert len(corpus.validation) == 4_987 and len(corpus.train) > 76_000
    assert [corpus.train.labels.count(label) for label in range(4)] == [50] * 4
    check_corpus(corpus, num_symbols=4)
