"""The report in headless Chromium, as a person uses it: reading points, searching, sorting, renaming, merging."""

import json
import math

import numpy as np
import pytest
from tiny_models import tiny_model

from ldebm_hf.model.explanation import DistinctiveWord, Explanation, SymbolExplanation
from ldebm_hf.reports.saved_symbols import SymbolChanges
from ldebm_hf.reports.symbol_report import make_report, write_report

playwright = pytest.importorskip("playwright.sync_api")

NASTY = "<img src=x onerror=alert(1)> & co"
NUM_SYMBOLS, PER_SYMBOL = 4, 6


@pytest.fixture(scope="module")
def report_file(tmp_path_factory):
    rng = np.random.default_rng(0)
    assignments = np.repeat(np.arange(NUM_SYMBOLS), PER_SYMBOL)
    texts = [f"text {number} about topic{symbol}" for number, symbol in enumerate(assignments)]
    texts[0] = NASTY
    symbols = [
        SymbolExplanation(
            id=symbol,
            name=f"LABEL_{symbol}",
            suggested_name=["beer", "ale", "cider", "2"][symbol],
            num_texts=PER_SYMBOL,
            share=1 / NUM_SYMBOLS,
            confidence=0.9 - symbol / 10,
            words=[DistinctiveWord(f"word{symbol}", 2.0, 3)],
            closest=texts[symbol * PER_SYMBOL : symbol * PER_SYMBOL + 2],
            generated=["it was so"],
        )
        for symbol in range(NUM_SYMBOLS)
    ]
    latents = rng.normal(size=(len(texts), 3)) + 6 * np.eye(4)[assignments][:, :3]
    explanation = Explanation(symbols, "log_odds", texts, assignments, np.zeros(len(texts)), latents)
    dates = [f"2024-{1 + number % 9:02}-03" for number in range(len(texts))]
    folder = tmp_path_factory.mktemp("report")
    write_report(make_report(explanation, attributes={"sent": dates}), folder / "report.html")
    return folder / "report.html"


@pytest.fixture
def view(browser, report_file):
    wrong = []
    view = browser.new_page(viewport={"width": 1200, "height": 900})
    view.on("pageerror", lambda error: wrong.append(str(error)))
    view.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    view.route("http*://**/*", lambda route: wrong.append(route.request.url))
    view.goto(report_file.as_uri())
    yield view
    view.close(run_before_unload=False)
    assert not wrong


def cards(view) -> list[int]:
    return [int(one.get_attribute("data-symbol")) for one in view.locator(".card:visible").all()]


def test_a_point_shows_its_text_and_leads_to_its_symbol(view):
    view.locator("circle").first.dispatch_event("click")
    shown = view.locator("#text")
    assert NASTY in shown.inner_text() and "beer" in shown.inner_text()
    assert view.locator("circle.chosen").count() == 1
    shown.get_by_role("button", name="beer").click()
    assert view.evaluate("location.hash") == "#symbol-0"


def test_search_shows_symbols_and_points_and_texts_by_keyboard(view):
    view.locator("#filter").fill("TOPIC2")
    assert cards(view) == [2]
    assert view.locator("circle.found").count() == PER_SYMBOL
    assert "1 of 4 symbols and 6 of 24 texts" in view.locator("#said").inner_text()
    view.locator("#matches button").first.focus()
    view.keyboard.press("Enter")
    assert "about topic2" in view.locator("#text").inner_text()
    view.locator("#filter").fill("no such word")
    assert cards(view) == [] and "0 of 4 symbols" in view.locator("#said").inner_text()
    for label in ("rename", "closest texts", "mean probability"):
        view.locator("#filter").fill(label)
        assert cards(view) == [], "what every card says is not searched"
    for name in ("LABEL_2", "cider", "word2"):
        view.locator("#filter").fill(name)
        assert cards(view) == [2]


def test_one_symbol_alone_and_every_order(view):
    view.locator("#only").select_option("3")
    assert cards(view) == [3] and view.locator("circle.found").count() == PER_SYMBOL
    view.locator("#only").select_option("")
    for order, expected in (("name", [3, 1, 0, 2]), ("id", [0, 1, 2, 3]), ("confidence", [0, 1, 2, 3])):
        view.locator("#sort").select_option(order)
        assert cards(view) == expected
        rows = [int(one.get_attribute("data-symbol")) for one in view.locator(".index a").all()]
        assert rows == expected


def rename(view, symbol, name):
    """What the page says when a reader renames a symbol."""
    view.get_by_role("button", name=f"Rename symbol {symbol}", exact=True).click()
    field = view.get_by_label(f"Name of symbol {symbol}", exact=True)
    field.fill(name)
    field.press("Enter")
    return view.locator("#said").inner_text()


def test_names_are_checked_saved_and_taken_back(view, tmp_path):
    assert "now called “wine & <b>cheese</b>”" in rename(view, 1, "wine & <b>cheese</b>")
    assert view.locator(".index .n1").inner_text() == "wine & <b>cheese</b>"
    assert "already called" in rename(view, 2, "wine & <b>cheese</b>")
    assert "number of another symbol" in rename(view, 2, "0") and "empty" in rename(view, 2, "  ")
    view.locator("#suggest").click()
    assert "2 symbols have" in view.locator("#said").inner_text(), "the fourth suggestion is the number of another one"
    with view.expect_download() as download:
        view.locator("#save").click()
    download.value.save_as(tmp_path / "names.json")
    names = json.loads((tmp_path / "names.json").read_text("utf-8"))
    assert names == ["beer", "wine & <b>cheese</b>", "cider", "LABEL_3"]
    assert download.value.suggested_filename == "names.json"


def merge(view, *symbols) -> str:
    for symbol in symbols:
        view.get_by_label(f"Tick symbol {symbol} to merge it").check()
    view.get_by_role("button", name="Merge the ticked").click()
    return view.locator("#said").inner_text()


def saved(view, tmp_path):
    with view.expect_download() as download:
        view.locator("#save").click()
    download.value.save_as(tmp_path / "names.json")
    return json.loads((tmp_path / "names.json").read_text("utf-8"))


def test_merged_symbols_are_one_at_once_and_saved_for_the_model(view, tmp_path):
    assert "Tick two or more" in merge(view) and "Tick two or more" in merge(view, 3)
    assert "Two symbols must be left" in merge(view, 0, 1, 2)
    for symbol in (0, 1):
        view.get_by_label(f"Tick symbol {symbol} to merge it").uncheck()
    assert "2 symbols are now one, “cider”" in merge(view)
    assert cards(view) == [2, 3, 0, 1], "the part is in the card of its head, which is the largest"
    assert view.locator("#symbol-2 #symbol-3").count() == 1
    assert "at least 50.0% of the texts (12)" in view.locator("#symbol-2 > .count").inner_text()
    figures = [view.locator(f"#{name}").inner_text() for name in ("used", "entropy", "most")]
    assert figures == ["3 of 3", f"{-(0.5 * math.log(0.5) + 0.5 * math.log(0.25)):.2f}", f"{math.log(3):.2f}"]
    assert [row.get_attribute("data-symbol") for row in view.locator(".index a:visible").all()] == ["2", "0", "1"]
    assert view.locator(".index a[data-symbol='2'] .number").last.inner_text() == "50.0%"
    colors = {one.get_attribute("fill") for one in view.locator("circle.s2").all()}
    assert view.locator("circle.s2").count() == 12 and view.locator("circle.s3").count() == 0 and len(colors) == 1
    view.locator("circle.s2").last.dispatch_event("click")
    assert "about topic" in view.locator("#text").inner_text() and "cider" in view.locator("#text").inner_text()
    view.locator("#filter").fill("word3")
    assert cards(view) == [2, 3] and "1 of 3 symbols" in view.locator("#said").inner_text()
    view.locator("#filter").fill("")
    view.locator("#only").select_option("2")
    assert view.locator("circle.found").count() == 12
    assert view.locator("#only option[value='3']").is_disabled()
    view.locator("#only").select_option("")
    assert saved(view, tmp_path) == {"names": [f"LABEL_{symbol}" for symbol in range(4)], "merge": [[2, 3]]}


def test_a_merged_symbol_has_the_name_that_was_given_and_can_be_renamed_merged_on_and_separated(view, tmp_path):
    rename(view, 1, "pale")
    rename(view, 2, "sour")
    assert "“pale”" in merge(view, 0, 1), "and not the name that is only suggested for the first"
    assert "“pale”" in merge(view, 1, 2)
    assert view.locator("#symbol-1 .card").count() == 2 and view.locator("#used").inner_text() == "2 of 2"
    assert "now called “sour”" in rename(view, 1, "sour"), "the name of a part is free inside the group"
    assert "already called “sour”" in rename(view, 3, "sour")
    names = ["LABEL_0", "sour", "pale", "LABEL_3"]
    assert saved(view, tmp_path) == {"names": names, "merge": [[1, 0, 2]]}
    view.get_by_role("button", name="Separate what is merged in symbol 1", exact=True).click()
    assert "3 symbols are separate again" in view.locator("#said").inner_text()
    assert cards(view) == [0, 1, 2, 3] and view.locator(".card .card").count() == 0
    assert "25.0% of the texts (6), mean probability 80.0%" in view.locator("#symbol-1 > .count").inner_text()
    for symbol in range(4):
        assert view.locator(f"circle.s{symbol}").count() == PER_SYMBOL
    colors = [view.locator(f"circle.s{symbol}").first.get_attribute("fill") for symbol in range(4)]
    assert len(set(colors)) == 4
    assert saved(view, tmp_path) == names


def test_what_the_report_saves_is_what_the_command_reads(view, tmp_path):
    merge(view, 0, 3)
    saved(view, tmp_path)
    changes = SymbolChanges.read([str(tmp_path / "names.json")])
    model = tiny_model(id2label={symbol: f"LABEL_{symbol}" for symbol in range(4)})
    changes.apply(model)
    assert model.config.symbol_groups == [0, 1, 2, 0] and model.config.num_symbols == 3


def test_tree_and_course_of_time_are_drawn(view):
    assert view.locator(".branches path").count() == NUM_SYMBOLS - 1
    assert view.locator(".curve").count() == NUM_SYMBOLS
    assert "2024-01" in view.locator(".dates").first.inner_text()
    view.locator("[data-goto='2']").click()
    assert view.evaluate("location.hash") == "#symbol-2"


def test_page_fits_a_narrow_screen(view):
    view.set_viewport_size({"width": 375, "height": 800})
    assert view.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
