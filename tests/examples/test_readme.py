"""The README's first lines of Python, as they stand there, and its links."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def test_first_lines_of_python_run(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    block = re.search(r"```python\n(.*?)```", PAGES[0].read_text("utf-8"), re.DOTALL).group(1)
    names = {}
    exec(block, names)
    model, tokenizer = names["model"], names["tokenizer"]
    assert {row["label"] for row in model.classify(tokenizer.batch_decode(names["ids"]), tokenizer)} == {"negative"}
    assert model.classify(["the soup was cold ."], tokenizer)[0]["label"] == "negative"
    assert model.infer_symbols(**names["batch"]).shape == (2, 2)
    assert model.encode(**names["batch"]).posterior_mean.shape == (2, 40)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if link.startswith("http"):
            continue
        path, _, place = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if place:
            titles = re.findall(r"(?m)^#+ (.*)$", target.read_text("utf-8"))
            assert place in [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles], link
