"""The page in headless Chromium: every tab used as a person would, by mouse and keyboard, on two sizes of screen."""

import re

import pytest

from ldebm_hf.web.own_texts import OwnTexts

pytest.importorskip("gradio")
playwright = pytest.importorskip("playwright.sync_api")

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 375, "height": 800}
LONG = 120_000  # milliseconds that an answer may take on a busy machine


@pytest.fixture
def visit(browser, address):
    """Opens the page on a screen of some size; what goes wrong in it fails the test, and nothing else is asked."""
    opened, wrong = [], []

    def opens(screen):
        view = browser.new_page(viewport=screen)
        view.set_default_timeout(LONG)
        view.route("**/*", lambda route: route.continue_() if route.request.url.startswith(address) else route.abort())
        view.on("pageerror", lambda error: wrong.append(str(error)))
        view.goto(address)
        view.get_by_role("tab", name="Write", exact=True).wait_for()
        opened.append(view)
        return view

    yield opens
    for view in opened:
        view.close()
    assert not wrong


def shown(locator):
    return playwright.expect(locator.locator("visible=true").first)


def open_tab(view, name):
    tab = view.get_by_role("tab", name=name, exact=True)
    if tab.locator("visible=true").count() == 0:  # where there is no room, tabs are in a menu
        view.locator(".overflow-menu button").first.click()
        view.get_by_role("button", name=name, exact=True).or_(view.get_by_text(name, exact=True)).last.click()
    else:
        tab.click()


def press(view, name):
    view.get_by_role("button", name=name, exact=True).locator("visible=true").first.click()


def box(view, label):
    return view.get_by_label(label, exact=True).locator("visible=true").first


@pytest.mark.parametrize("screen", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_tab_answers_and_fits_the_screen(visit, screen):
    view = visit(screen)
    fits = "document.documentElement.scrollWidth <= window.innerWidth"
    press(view, "Write")
    shown(view.get_by_text("The model reads the requested symbol in")).to_be_visible(timeout=LONG)
    assert view.evaluate(fits)
    open_tab(view, "Read a text")
    box(view, "Your text").fill("we sell zebras")
    press(view, "Read")
    shown(view.get_by_text("does not know 1 of the 3 words: zebras")).to_be_visible(timeout=LONG)
    assert view.evaluate(fits)
    open_tab(view, "Latent map")
    picture = view.locator("#map img").first
    picture.click(position={"x": 60, "y": 60})
    shown(view.get_by_label("Decoded text")).to_have_value(re.compile(r"\[(food|drink)\]$"), timeout=LONG)
    assert float(box(view, "x").input_value()) != 0
    press(view, "Interpolate")
    shown(view.get_by_text("100%", exact=True)).to_be_visible(timeout=LONG)
    assert view.evaluate(fits)
    open_tab(view, "Reverse diffusion")
    press(view, "Sample latents")
    shown(view.get_by_text("6 (noise)")).to_be_visible(timeout=LONG)
    assert view.evaluate(fits)
    open_tab(view, "Complete")
    box(view, "A text with gaps").fill("we <mask> bread zebras")
    press(view, "Complete")
    shown(view.get_by_text("*", exact=False).filter(has_text="bread")).to_be_visible(timeout=LONG)
    shown(view.get_by_text("does not know 1 of the 3 words: zebras")).to_be_visible(timeout=LONG)
    assert view.evaluate(fits)
    open_tab(view, "Compare priors")
    press(view, "Draw")
    shown(view.get_by_text("standard normal (VAE)")).to_be_visible(timeout=LONG)
    assert view.evaluate(fits)


def assert_fits_any_screen(view):
    for screen in (WIDE, NARROW):
        view.set_viewport_size(screen)
        assert view.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), screen


def test_bar_at_the_top_leads_from_one_checkpoint_to_the_other(visit):
    view = visit(NARROW)
    link = view.get_by_role("link", name="fluent", exact=True)
    assert link.evaluate("a => getComputedStyle(a).color") == view.evaluate("getComputedStyle(document.body).color")
    link.click()
    shown(view.get_by_text("It has 2 symbols: plain, polite.")).to_be_visible(timeout=LONG)
    press(view, "Write")
    shown(view.get_by_text("The model reads the requested symbol in")).to_be_visible(timeout=LONG)
    assert_fits_any_screen(view)
    view.get_by_role("link", name="tiny", exact=True).click()
    shown(view.get_by_text("It has 2 symbols: food, drink.")).to_be_visible(timeout=LONG)


def test_map_has_no_background_of_its_own_on_a_dark_page(browser, address):
    view = browser.new_page(viewport=WIDE, color_scheme="dark")
    view.set_default_timeout(LONG)
    view.goto(f"{address}?__theme=dark")
    view.get_by_role("tab", name="Write", exact=True).wait_for()
    open_tab(view, "Latent map")
    picture = view.locator("#map img").first
    picture.wait_for()
    alpha = picture.evaluate(
        "async (image) => { await image.decode(); const canvas = document.createElement('canvas');"
        " canvas.width = canvas.height = 1; const pen = canvas.getContext('2d'); pen.drawImage(image, 0, 0);"
        " return pen.getImageData(0, 0, 1, 1).data[3]; }"
    )
    assert alpha == 0
    view.close()


@pytest.mark.skipif(not OwnTexts.is_possible(), reason="faiss is not installed")
def test_own_texts_are_checked_and_a_training_is_stopped(visit, tmp_path):
    view = visit(NARROW)
    open_tab(view, "Your own texts")
    press(view, "Train")
    shown(view.get_by_text("At least 40 different texts are needed")).to_be_visible(timeout=LONG)
    table = tmp_path / "mine.csv"
    table.write_text("body\n" + "".join(f"we like number {i}\n" for i in range(60)), encoding="utf-8")
    with view.expect_response(lambda response: "/upload" in response.url, timeout=LONG):
        view.locator("input[type=file][accept*='.txt']").set_input_files(table)
    shown(view.get_by_text("mine", exact=True)).to_be_visible(timeout=LONG)
    press(view, "Train")
    shown(view.get_by_text("The file has no column “text”; it has: body.")).to_be_visible(timeout=LONG)
    box(view, "Column with the texts").fill("body")
    press(view, "Train")
    shown(view.get_by_text("Reading 60 texts")).to_be_visible(timeout=LONG)
    press(view, "Stop")
    shown(view.get_by_text("Stopped.")).to_be_visible(timeout=LONG)
    assert_fits_any_screen(view)


def test_keyboard_alone(visit):
    view = visit(WIDE)
    keys = view.keyboard
    view.get_by_role("tab", name="Write", exact=True).focus()
    keys.press("Tab")
    keys.press("Enter")
    open_by_key = view.get_by_role("tab", name="Read a text", exact=True)
    playwright.expect(open_by_key).to_have_attribute("aria-selected", "true")
    box(view, "Your text").focus()
    keys.press("Control+A")
    keys.type("they sell red zebras")
    keys.press("Shift+Enter")
    shown(view.get_by_text("does not know 1 of the 4 words: zebras")).to_be_visible(timeout=LONG)


def test_mistake_is_told_in_a_sentence(visit):
    view = visit(WIDE)
    open_tab(view, "Read a text")
    box(view, "Your text").fill("")
    press(view, "Read")
    shown(view.get_by_text("Please write something")).to_be_visible(timeout=LONG)
    assert "Traceback" not in view.content()
