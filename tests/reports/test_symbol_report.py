"""The report: its JSON file, and its page, which shows everything and escapes all texts."""

import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ldebm_hf.model.explanation import DistinctiveWord, Explanation, SymbolExplanation
from ldebm_hf.reports.symbol_colors import symbol_colors
from ldebm_hf.reports.symbol_report import (
    make_report,
    read_report,
    render_html,
    without_texts,
    write_report,
)

NASTY = '</script><script>alert("1")</script><b onclick=x> & \'"{{ 7 * 7 }}'
TOPICS = ["rain", "rain", "sun", None, "sun"]


def explanation(num_symbols=3, texts=("one", NASTY, "three", "four", "five"), assignments=(0, 0, 2, 2, 2)):
    latents = np.random.default_rng(0).normal(size=(len(texts), 4)) * [1, 5, 0.1, 2]
    symbols = []
    for symbol in range(num_symbols):
        own = [text for text, assigned in zip(texts, assignments, strict=True) if assigned == symbol]
        symbols.append(
            SymbolExplanation(
                id=symbol,
                name=f"LABEL_{symbol}" if symbol else NASTY,
                suggested_name=f"suggestion {symbol}",
                num_texts=len(own),
                share=len(own) / len(texts),
                confidence=0.75 if own else None,
                words=[DistinctiveWord("<i>word</i>", 3.25, 7), DistinctiveWord("other", 1.5, 2)] if own else [],
                closest=own[:2],
                generated=["written & so on"],
            )
        )
    return Explanation(symbols, "log_odds", list(texts), np.array(assignments), np.zeros(len(texts)), latents)


@pytest.fixture(scope="module")
def report():
    return make_report(explanation(), title=f"Of {NASTY}", details={"texts": NASTY}, attributes={"topic": TOPICS})


class Page(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.inside = [], [], []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        self.inside.pop()

    def handle_data(self, data):
        if self.inside and self.inside[-1] not in ("script", "style"):
            self.words.append(data)

    def all(self, tag, css_class=None):
        return [found for name, found in self.tags
                if name == tag and (css_class is None or css_class in found.get("class", "").split())]  # fmt: skip


def test_shares_of_classes_leave_out_what_is_unknown(report):
    assert report["attributes"] == {"topic": {"known": 4, "shares": {"rain": 0.5, "sun": 0.5}}}
    first, second, third = (symbol["attributes"]["topic"] for symbol in report["symbols"])
    assert first == {"known": 2, "shares": {"rain": 1.0}} and second == {"known": 0, "shares": {}}
    assert third == {"known": 2, "shares": {"sun": 1.0}}
    assert make_report(explanation(), attributes={"topic": [None] * 5})["attributes"] == {}


def test_an_attribute_of_dates_is_shown_over_time():
    dates = [f"2024-05-{day:02}" for day in range(1, 15)]
    texts = [f"text {day}" for day in range(14)]
    report = make_report(explanation(3, texts, [0, 2] * 7), attributes={"sent": dates, "topic": ["a", "b"] * 7})
    assert list(report["attributes"]) == ["topic"] == list(report["symbols"][0]["attributes"])
    assert report["over_time"]["unit"] == "day" and report["over_time"]["counts"]["0"] == [1, 0] * 7
    assert len(Page(render_html(report)).all("svg", "curve")) == 2, "one symbol has no texts"
    few = make_report(explanation(), attributes={"year": ["2020", "2021", "2020", None, "2026"]})
    assert few["attributes"]["year"]["known"] == 4 and few["over_time"]["unit"] == "year"
    assert make_report(explanation())["over_time"] is None


def test_reports_of_earlier_versions_are_shown(report, tmp_path):
    later = ("modality", "topics", "over_time", "hierarchy")
    earlier = {name: value for name, value in report.items() if name not in later}
    (tmp_path / "report.json").write_text(json.dumps(earlier), encoding="utf-8")
    assert not Page(render_html(read_report(tmp_path / "report.json"))).all("details")


def test_the_report_of_the_shipped_checkpoint_is_shown():
    shipped = Path(__file__).parents[2] / "spaces_app" / "yelp_sentiment" / "report.json"
    report = read_report(shipped)
    assert len(Page(render_html(report)).all("article", "card")) == report["num_symbols"]


def test_without_texts_that_were_read(report):
    given_away = without_texts(report)
    assert not any(text in json.dumps([given_away["symbols"], given_away["map"]]) for text in ("one", "three", "four"))
    assert given_away["symbols"][0]["generated"] == report["symbols"][0]["generated"]
    assert [point[:3] for point in given_away["map"]["points"]] == [point[:3] for point in report["map"]["points"]]
    assert report["symbols"][0]["closest"] and "written &amp; so on" in render_html(given_away)


def test_figures_are_the_explanations(report):
    assert (report["num_texts"], report["num_symbols"], report["num_used"]) == (5, 3, 2)
    assert report["usage_entropy"] == pytest.approx(-0.4 * np.log(0.4) - 0.6 * np.log(0.6))
    assert report["confidence"] == 0.5 and report["symbols"][1]["confidence"] is None
    assert report["symbols"][0]["words"][0] == {"word": "<i>word</i>", "score": 3.25, "count": 7}


def test_map_is_of_the_principal_components():
    rng = np.random.default_rng(1)
    directions = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    texts, scales = [str(i) for i in range(500)], [9.0, 3.0, 0.5, 0.1]
    coordinates = rng.normal(size=(500, 4)) * scales
    coordinates -= coordinates.mean(axis=0)
    of = explanation(1, texts, [0] * 500)
    of.latents[:] = coordinates @ directions.T + 7
    plane = make_report(of, max_points=1000)["map"]
    places = np.array([point[:2] for point in plane["points"]])
    variances = np.linalg.eigvalsh(np.cov(coordinates.T))[::-1]
    assert np.allclose(places.var(axis=0, ddof=1), variances[:2], rtol=1e-3)
    assert np.allclose(plane["explained"], variances[:2] / variances.sum())
    assert [point[3] for point in plane["points"]] == texts
    assert abs(np.corrcoef(places[:, 0], coordinates[:, 0])[0, 1]) > 0.99


def test_large_maps_are_a_sample_by_the_seed():
    texts = [str(i) for i in range(50)]
    first, second, third = (
        make_report(explanation(1, texts, [0] * 50), max_points=10, seed=seed)["map"]["points"] for seed in (0, 0, 1)
    )
    assert len(first) == 10 and first == second != third
    assert [point[3] for point in first] == sorted((point[3] for point in first), key=int)


@pytest.mark.parametrize("size", [1, 2])
def test_latents_of_any_size_and_equal_latents_have_a_map(size):
    of = explanation()
    flat = Explanation(of.symbols, "log_odds", of.texts, of.assignments, of.log_odds, np.ones((5, size)))
    report = make_report(flat)
    assert all(point[:2] == [0, 0] for point in report["map"]["points"]) and report["map"]["explained"] == [0, 0]
    assert len(Page(render_html(report)).all("circle")) == 5


def test_umap_gets_the_seed(monkeypatch):
    options_given = {}

    class UMAP:
        def __init__(self, **options):
            options_given.update(options)

        def fit_transform(self, latents):
            return latents[:, :2] * 2

    module = ModuleType("umap")
    module.UMAP = UMAP
    monkeypatch.setitem(sys.modules, "umap", module)
    of = explanation()
    plane = make_report(of, projection="umap", seed=3)["map"]
    assert options_given == {"n_components": 2, "n_neighbors": 4, "random_state": 3} and plane["explained"] is None
    assert np.allclose([point[:2] for point in plane["points"]], of.latents[:, :2] * 2, atol=1e-4)
    assert "by UMAP" in render_html(make_report(of, projection="umap"))


def test_umap_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match='projection="umap" needs umap-learn: pip install umap-learn'):
        make_report(explanation(), projection="umap")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"projection": "tsne"}, "projection must be pca or umap, got 'tsne'"),
        ({"max_points": 0}, "max_points must be at least 1, got 0"),
        ({"attributes": {"topic": ["a"]}}, r"attributes\['topic'\] must have one class per text, 5, got 1"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        make_report(explanation(), **options)


def test_files_are_read_back_and_nothing_else_is_left(report, tmp_path):
    html, as_json = write_report(report, tmp_path / "new" / "symbols.html")
    assert sorted(path.name for path in html.parent.iterdir()) == ["symbols.html", "symbols.json"]
    assert read_report(as_json) == json.loads(json.dumps(report))
    assert html.read_text(encoding="utf-8") == render_html(read_report(as_json))
    with pytest.raises(ValueError, match=r"path must end in .html, got 'report.json'"):
        write_report(report, "report.json")


@pytest.mark.parametrize("content", ["[1]", '{"format": "other", "version": 1}', '{"format": "ldebm_hf.symbols"}'])
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / "some.json").write_text(content)
    with pytest.raises(ValueError, match="some.json must have format 'ldebm_hf.symbols' and version 1, got"):
        read_report(tmp_path / "some.json")


def test_page_escapes_what_texts_say(report):
    page = Page(render_html(report))
    assert len(page.all("script")) == 1 and not page.all("b", None)[4:]  # of its own: four figures in bold
    assert not [found for _, found in page.tags for name in found if name.startswith("on")]
    assert page.text.count(" ".join(NASTY.split())) >= 4 and "<i>word</i>" in page.text and "49" not in page.text


def test_page_loads_nothing(report):
    html = render_html(report)
    page = Page(html)
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object", "embed", "base", "form"}
    assert not [found for _, found in page.tags if {"src", "srcset", "action"} & found.keys()]
    assert all(found["href"].startswith("#") for found in page.all("a"))
    assert "url(" not in html and "@import" not in html
    (policy,) = [found["content"] for found in page.all("meta") if "http-equiv" in found]
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("num_symbols", [1, 8, 125])
def test_page_has_a_card_and_a_place_in_the_list_for_every_symbol(num_symbols):
    texts = [f"text {i}" for i in range(2 * num_symbols)]
    assignments = [max(0, i // 2 - 1) for i in range(2 * num_symbols)]  # the first has four, the last none
    report = make_report(explanation(num_symbols, texts, assignments))
    page = Page(render_html(report))
    cards = [int(found["data-symbol"]) for found in page.all("article")]
    by_size = [0, *range(1, num_symbols - 1), num_symbols - 1][:num_symbols]
    assert cards == by_size == [int(found["data-symbol"]) for found in page.all("a")]
    assert {found["href"] for found in page.all("a")} == {f"#{found['id']}" for found in page.all("article")}
    assert len(page.all("article", "empty")) == (num_symbols > 1) and len(page.all("circle")) == len(texts)
    for found in page.all("circle"):
        assert 0 <= int(found["cx"]) <= 1000 and 0 <= int(found["cy"]) <= 1000
    colors = symbol_colors(num_symbols)
    symbols = [int(found["class"][1:]) for found in page.all("circle")]
    assert [found["fill"] for found in page.all("circle")] == [colors[symbol] for symbol in symbols]
