"""The README's first lines of Python, as they stand there."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text("utf-8")


def test_first_lines_of_python_run(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    names = {}
    exec(block, names)
    model, tokenizer = names["model"], names["tokenizer"]
    assert {row["label"] for row in model.classify(tokenizer.batch_decode(names["ids"]), tokenizer)} == {"negative"}
    assert model.classify(["the soup was cold ."], tokenizer)[0]["label"] == "negative"
    assert model.infer_symbols(**names["batch"]).shape == (2, 2)
    assert model.encode(**names["batch"]).posterior_mean.shape == (2, 40)


def test_it_names_how_to_test():
    assert "`make test`" in README and "`.ci/run`" in README


def test_it_takes_three_minutes():
    """At 300 words a minute, without code and addresses."""
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    prose = re.sub(r"\]\([^)]*\)|<!--.*?-->|\|[-|]+\|", " ", prose)
    assert len([word for word in prose.split() if re.search(r"\w", word)]) < 900
