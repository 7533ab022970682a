import json

import pytest

from ldebm_hf.data import NO_LABEL, check_corpus, load_corpus

ROWS = [(f"sentence number {i}", ["no", "yes", None][i % 3]) for i in range(30)]


def as_csv(rows, delimiter=",", header=("text", "label"), line_end="\n"):
    return line_end.join(delimiter.join(cell or "" for cell in row) for row in [header, *rows]) + line_end


def everything(corpus):
    """All texts with their label names, in order."""
    pairs = [pair for split in corpus.splits.values() for pair in zip(split.texts, split.labels, strict=True)]
    return sorted((text, None if label == NO_LABEL else corpus.label_names[label]) for text, label in pairs)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_every_table_format_gives_the_same_corpus(write, tmp_path, kind):
    match kind:
        case "csv":
            path = write("rows.csv", as_csv(ROWS))
        case "tsv":
            path = write("rows.TSV", as_csv(ROWS, "\t"))
        case "jsonl":
            path = write("rows.jsonl", "\n".join(json.dumps({"text": text, "label": label}) for text, label in ROWS))
        case "parquet":
            pyarrow = pytest.importorskip("pyarrow")
            pytest.importorskip("pyarrow.parquet")
            path = tmp_path / "rows.parquet"
            table = pyarrow.table({"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]})
            pyarrow.parquet.write_table(table, path)
    corpus = load_corpus(path, label_column="label", validation_fraction=0.2)
    assert corpus.name == "rows" and corpus.label_names == ["no", "yes"] and corpus.test is None
    assert len(corpus.train) == 24 and len(corpus.validation) == 6
    assert everything(corpus) == sorted(ROWS)
    assert corpus.notes == [f"validation: 6 texts held out of {path.name} with seed 0"]
    check_corpus(corpus, num_symbols=2)


def test_text_file_is_one_text_a_line(write):
    corpus = load_corpus(write("mine.txt", 'first , "text"\n\nsecond\tone\r\nthird\n'), validation_fraction=0.4)
    assert everything(corpus) == [('first , "text"', None), ("second one", None), ("third", None)]
    assert "mine.txt: 1 empty texts dropped" in corpus.notes and corpus.label_names == []


def test_csv_with_quotes_newlines_mark_and_crlf(write):
    content = '\ufefflabel,text\r\nx,"said ""hi"", then\r\nleft"\r\ny,plain\r\n"","no label, here"\r\n'
    corpus = load_corpus(write("a.csv", content), label_column="label")
    assert everything(corpus) == [("no label, here", None), ("plain", "y"), ('said "hi", then left', "x")]


def test_csv_with_one_column_short_rows_and_nul(write):
    corpus = load_corpus(write("a.csv", "text\none\n\ntw\x00o\nthree\n"))
    assert everything(corpus) == [("one", None), ("three", None), ("tw o", None)]
    assert corpus.notes[0] == "a.csv: 1 empty texts dropped"
    corpus = load_corpus(write("b.csv", "text,label\none,x\ntwo\nthree,y\n"), label_column="label")
    assert everything(corpus) == [("one", "x"), ("three", "y"), ("two", None)]


@pytest.mark.parametrize("name", ["long.csv", "long.txt", "long.jsonl"])
def test_line_of_ten_thousand_words(write, name):
    long = "extraordinarily " * 10_000
    rows = ["text", long, "short"] if name.endswith("csv") else [long, "short", "text"]
    if name.endswith("jsonl"):
        rows = [json.dumps({"text": row}) for row in rows]
    corpus = load_corpus(write(name, "\n".join(rows)))
    assert max(len(text.split()) for text, _ in everything(corpus)) == 10_000
    assert f"{name}: 1 texts of more than 1,000 words (cut to the tokenizer's max_length when encoded)" in corpus.notes


def test_a_few_damaged_lines_of_utf8_are_repaired_and_counted(write):
    rows = [f"straße {i}" for i in range(20)]
    corpus = load_corpus(write("a.csv", "\n".join(["text", *rows]).encode() + b"\nstra\xdfe\n"))
    assert ("stra\ufffde", None) in everything(corpus)
    assert corpus.notes[0] == "a.csv: 1 lines with bytes that are not UTF-8 (they became U+FFFD)"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "body;label\nx;y\n", "a.csv .*separated by ';'. has no column 'text' .*: 'body', 'label'"),
        ("a.csv", "", "a.csv .* has no column 'text' .*none, it is empty"),
        ("a.csv", "text\n", "a.csv holds no text"),
        ("a.csv", "text,n\none, two, three\n", "a.csv, line 2: 3 cells where the header has 2"),
        ("a.csv", 'text\nfine\n"open\nmore\n', "a.csv, line 4: unexpected end of data"),
        ("a.tsv", 'text\tn\n"so" they say\t1\n', "a.tsv, line 2: .*must be quoted, its quotes doubled"),
        ("a.csv", "text,text\na,b\n", "two columns of the same name"),
        ("a.jsonl", '{"text": "a"}\n{"text": \n', "a.jsonl, line 2: not valid JSON"),
        ("a.jsonl", '["a"]\n', "a.jsonl, object 1: expected a JSON object, found str"),
        ("a.jsonl", "\n", "a.jsonl has no column 'text' .*none, it is empty"),
        ("a.jsonl", '{"text": 1}\n', "must hold strings, found 1"),
        ("a.parquet", "text\n", "a.parquet is not a readable parquet file"),
        ("a.txt", "only one\n", "split of 1 text cannot be divided"),
    ],
)
def test_malformed_content_is_refused(write, name, content, message):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match=message):
        load_corpus(write(name, content))


def test_json_that_python_cannot_hold_is_refused(write):
    for name, content, message in (
        ("a.jsonl", '{"text": ' + "[" * 100_000, "a.jsonl, line 1: not valid JSON .maximum recursion depth"),
        ("a.json", '[{"text": ' + "[" * 100_000, "a.json, object 1: not readable JSON .maximum recursion depth"),
        ("a.json", '[{"text": ' + "9" * 5000 + "}]", "a.json, object 1: not readable JSON .Exceeds the limit"),
    ):
        with pytest.raises(ValueError, match=message):
            load_corpus(write(name, content))


def test_an_object_of_many_blocks_is_read(write):
    long_text = "word " * 100_000
    rows = [{"text": long_text}, {"text": "short"}]
    corpus = load_corpus(write("a.json", json.dumps(rows, indent=1)), validation_fraction=0.5)
    assert sorted(len(text.split()) for text, _ in everything(corpus)) == [1, 100_000]


def test_a_parquet_file_of_values_that_python_cannot_hold_is_refused(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    far = pyarrow.array([2**62], pyarrow.int64()).cast(pyarrow.timestamp("us"))
    parquet.write_table(pyarrow.table({"text": ["a"], "day": far}), tmp_path / "far.parquet")
    with pytest.raises(ValueError, match="far.parquet is not a readable parquet file: date value out of range"):
        load_corpus(tmp_path / "far.parquet")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_column": ["label"]}, r"label_column must be the name of a column of a.csv .*, got \['label'\]"),
        ({"attribute_columns": 3}, "attribute_columns must be names of columns, got 3"),
        ({"label_column": "label", "missing_labels": [None]}, r"missing_labels must be strings, got \[None\]"),
        ({"validation_fraction": "x"}, "validation_fraction must be between 0 and 1 .both excluded., got x"),
        ({"encoding": "base64"}, "encoding='base64' is unknown"),
        ({"encoding": 3}, "encoding=3 is unknown"),
        ({"encoding": "undefined"}, "encoding='undefined' is unknown"),
    ],
)
def test_options_that_make_no_sense_are_refused(write, options, message):
    with pytest.raises(ValueError, match=message):
        load_corpus(write("a.csv", as_csv(ROWS)), **options)


@pytest.mark.parametrize("name", ["absent.csv", "absent.txt", "absent.parquet"])
def test_missing_file_is_named(tmp_path, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    with pytest.raises(FileNotFoundError, match=f"looked for {tmp_path}/{name}"):
        load_corpus(name, data_dir=tmp_path)


def test_validation_file_shares_the_classes_and_counts_duplicates(write, tmp_path):
    write("train.csv", as_csv(ROWS))
    write("dev.jsonl", "\n".join(json.dumps({"text": t, "label": "new"}) for t in ["sentence number 0", "fresh"]))
    corpus = load_corpus("train.csv", data_dir=tmp_path, label_column="label", validation_file="dev.jsonl")
    assert corpus.label_names == ["new", "no", "yes"] and len(corpus.train) == 30
    assert corpus.validation.texts == ["sentence number 0", "fresh"] and corpus.validation.labels == [0, 0]
    assert corpus.notes == [
        "validation: 1 of 2 texts also stand in train (kept)",
        "train: no labelled text of the class 'new'",
    ]
    with pytest.raises(ValueError, match="validation_file is the training file itself"):
        load_corpus("train.csv", data_dir=tmp_path, validation_file="train.csv")


def test_unlabelled_validation_file_of_plain_text(write):
    train, dev = write("train.csv", as_csv(ROWS)), write("dev.txt", "one\ntwo\n")
    corpus = load_corpus(train, label_column="label", validation_file=dev)
    assert corpus.validation.labels == [NO_LABEL, NO_LABEL]
    assert corpus.notes == ["dev.txt: no column 'label', so its 2 texts are unlabelled"]


def test_attribute_columns_of_a_table(write):
    rows = "text,label,who\n" + "".join(f"text {i},{'ab'[i % 2]},{'xyz'[i % 3]}\n" for i in range(30))
    corpus = load_corpus(write("a.csv", rows), attribute_columns=["label", "who"], validation_fraction=0.2)
    assert corpus.label_names == [] and corpus.attribute_names == {"label": ["a", "b"], "who": ["x", "y", "z"]}
    for split in corpus.splits.values():
        numbers = [int(text.split()[1]) for text in split.texts]
        assert split.attributes == {"label": [i % 2 for i in numbers], "who": [i % 3 for i in numbers]}
    check_corpus(corpus, num_symbols=2)
    with pytest.raises(ValueError, match=r"no column 'who' \(attribute_columns\); columns there are: 'text'"):
        load_corpus(write("a.txt", rows), attribute_columns="who")


def test_one_class_only_is_found_before_training(write):
    rows = [(text, "same") for text, _ in ROWS]
    corpus = load_corpus(write("a.csv", as_csv(rows)), label_column="label")
    with pytest.raises(ValueError, match="one class 'same'"):
        check_corpus(corpus, num_symbols=5)
