"""The page: what it is made of, and a started one through its API, with good and bad requests and many at once."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from ldebm_hf.web.limits import BadRequest
from ldebm_hf.web.own_texts import OwnModel, OwnTexts

gradio = pytest.importorskip("gradio")
from ldebm_hf.web.page import events  # noqa: E402
from ldebm_hf.web.page.layout import build, titles_of  # noqa: E402
from ldebm_hf.web.page.own_texts_tab import uploaded_file  # noqa: E402
from ldebm_hf.web.page.serving import launch_options  # noqa: E402

client = pytest.importorskip("gradio_client")

OF_A_MODEL = {"/write", "/read", "/decode_at", "/interpolate", "/reverse_diffusion", "/complete"}
ENDPOINTS = OF_A_MODEL | {"/compare_priors"} | {f"{name}_2" for name in OF_A_MODEL}


@pytest.fixture(scope="module")
def visitor(address):
    return client.Client(address, verbose=False)


def tabs_of(page) -> list[str]:
    return [block.label for block in page.blocks.values() if isinstance(block, gradio.Tab)]


TABS = ["Write", "Read a text", "Latent map", "Reverse diffusion", "Complete"]


def test_page_has_a_tab_for_all_that_the_models_can(page):
    assert isinstance(page, gradio.Blocks)
    of_page = ["Compare priors"] + ["Your own texts"] * OwnTexts.is_possible()
    assert tabs_of(page) == TABS + of_page + TABS


def test_missing_models_leave_tabs_out(checkpoint):
    page = build([checkpoint])
    assert tabs_of(page) == TABS
    assert any("**tiny**" in str(getattr(block, "value", "")) for block in page.blocks.values())


def test_page_without_checkpoints_is_for_own_texts():
    page = build(own=OwnTexts())
    assert tabs_of(page) == ["Your own texts"]
    assert any("texts of your own" in str(getattr(block, "value", "")) for block in page.blocks.values())
    with pytest.raises(ValueError, match=r"nothing to show: name a checkpoint, or install faiss.*\[cpu,demo\]"):
        build()


def test_titles_tell_checkpoints_apart(tmp_path):
    folders = [tmp_path / run / name for run, name in (("a", "best"), ("b", "best"), ("c", "fluent"))]
    for folder in folders:
        folder.mkdir(parents=True)
    given = [*map(str, folders), "me/texts"]
    assert titles_of(given) == [str(folders[0]), str(folders[1]), "fluent", "me/texts"]
    with pytest.raises(ValueError, match="checkpoints must differ, but 'me/texts' is given twice"):
        titles_of(["me/texts", "other/texts", "me/texts"])


def test_all_requests_have_names_and_are_described(visitor):
    described = visitor.view_api(return_format="dict")["named_endpoints"]
    assert set(described) == ENDPOINTS
    assert all(endpoint["description"] for endpoint in described.values())


def rows(table) -> list[list]:
    return table["data"]


def test_write(visitor):
    table, note = visitor.predict(["food", "drink"], 2, 4, 0, 0, 0, api_name="/write")
    assert [row[1] for row in rows(table)] == ["food", "food", "drink", "drink"]
    hits = sum(row[1] == row[2] for row in rows(table))
    assert note == f"The model reads the requested symbol in {hits} of 4 sentences."
    again, _ = visitor.predict(["food", "drink"], 2, 4, 0, 0, 0, api_name="/write")
    assert again == table
    _, note = visitor.predict(["food", "drink"], 2, 4, 0, 0.001, 0, api_name="/write")
    assert note.endswith("4 candidates were examined for 4 sentences (1.0 for each), of which 100% reach the minimum "
                         "probability.")  # fmt: skip


def test_each_checkpoint_answers_for_itself(visitor):
    table, _ = visitor.predict(["polite"], 2, 4, 0, 0, 0, api_name="/write_2")
    assert [row[1] for row in rows(table)] == ["polite", "polite"]
    symbols, *_ = visitor.predict("we sell bread", api_name="/read_2")
    assert {one["label"] for one in symbols["confidences"]} == {"plain", "polite"}
    with pytest.raises(client.exceptions.AppError, match="no symbol called food"):
        visitor.predict(["food"], 2, 4, 0, 0, 0, api_name="/write_2")


def test_read(visitor):
    symbols, _, neighbours, picture, notes = visitor.predict("we sell zebras", api_name="/read")
    assert sum(one["confidence"] for one in symbols["confidences"]) == pytest.approx(1, abs=1e-4)
    assert len(rows(neighbours)) == 4
    assert picture
    assert "does not know 1 of the 3 words: zebras" in notes


def test_map(visitor):
    text, neighbours, picture = visitor.predict(0, 0, api_name="/decode_at")
    assert text.endswith(("[food]", "[drink]")) and picture and len(rows(neighbours)) == 4
    way, picture = visitor.predict("we like bread", "you sell tea", 4, api_name="/interpolate")
    assert [row[2] for row in rows(way)] == ["0%", "33%", "67%", "100%"] and picture


def test_reverse_diffusion(visitor):
    picture, table = visitor.predict(["food"], 3, 4, 0, api_name="/reverse_diffusion")
    assert picture
    assert [row[2] for row in rows(table)] == ["6 (noise)", "5", "4", "3", "2", "1", "0"]


def test_complete(visitor):
    table = visitor.predict("we <mask> bread", "", 2, 4, 0, api_name="/complete")
    assert all(row[0].startswith("we *") and row[0].endswith("* bread") for row in rows(table))
    assert visitor.predict("we <mask> bread", "drink", 1, 4, 0, api_name="/complete")


@pytest.mark.parametrize(
    ("name", "endpoint", "texts", "said"),
    [
        ("notes_of", "complete", ["we <mask> zebras"], "The model does not know 1 of the 2 words: zebras."),
        ("notes_of", "complete", ["we <mask> bread"], ""),
        ("notes_of_ends", "interpolate", ["we like bread", "you sell zebras"],
         "Text B: The model does not know 1 of the 3 words: zebras."),
    ],
)  # fmt: skip
def test_what_is_not_read_is_said_beside_the_answer(page, name, endpoint, texts, said):
    """By a function of its own on the same event, so that the endpoints answer as before."""
    functions = {function.name: function for function in page.fns.values()}
    assert functions[name].fn(*texts) == said
    assert set(functions[name].targets) == set(functions[endpoint].targets)
    assert [type(output) for output in functions[name].outputs] == [gradio.Markdown]


def test_compare_priors(visitor):
    picture, table = visitor.predict("gaussians", 100, 0, api_name="/compare_priors")
    assert picture and rows(table)[0][0] == "standard normal (VAE)"


@pytest.mark.parametrize(
    ("arguments", "name", "said"),
    [
        ((["food"], 2, 4, 0, 7, 0), "/write", "maximum|minimum probability"),
        (("",), "/read", "Please write something"),
        (("a" * 500,), "/read", "400 characters"),
        (("we like bread", "", 2, 4, 0), "/complete", "Write <mask> for one missing word"),
        ((1e9, 0), "/decode_at", "x must be a number from"),
        (([], 2, 4, 0, 0, -3), "/write", "seed|minimum"),
        ((["weather"], 2, 4, 0, 0, 0), "/write", "weather"),
        (("food", "2", 4, 0, 0, 0), "/write", "sentences must be a whole number from 1 to 20, but it is '2'"),
        (([["food"]], 2, 4, 0, 0, 0), "/write", r"symbols must be a list of names, but they are \[\['food'\]\]"),
        (([3], 2, 4, 0, 0, 0), "/write", "symbols must be a list of names"),
        ((["food"], 2, None, [], 0, 0), "/write", r"temperature must be a number from 0 to 2, but it is \[\]"),
        (([["we"]],), "/read", "text must be a text, but it is"),
        ((7,), "/read", "text must be a text, but it is 7"),
        ((["gaussians"], 100, 0), "/compare_priors", "data must be one of gaussians"),
        (("gaussians", "many", 0), "/compare_priors", "number of points must be a whole number"),
    ],
)
def test_bad_requests_get_a_sentence(visitor, arguments, name, said):
    with pytest.raises(client.exceptions.AppError, match=said) as raised:
        visitor.predict(*arguments, api_name=name)
    assert "Traceback" not in str(raised.value)


def answer_to(address: str, endpoint: str, body: dict) -> str:
    """What the server sends for a request that does not come from a client of Gradio."""
    with httpx.Client(timeout=60) as http:
        of_json = {"content-type": "application/json"}
        joined = http.post(f"{address}gradio_api/call/{endpoint}", content=json.dumps(body), headers=of_json)
        if joined.status_code != 200:
            return joined.text
        return http.get(f"{address}gradio_api/call/{endpoint}/{joined.json()['event_id']}").text


@pytest.mark.parametrize(
    ("endpoint", "data", "sentence"),
    [
        ("read", [], "enough input values"),
        ("read", [{"a": 1}], "The text must be a text, but it is"),
        ("read", [None], "Please write something: the text is empty."),
        ("read", [[[]]], "The text must be a text, but it is [[]]."),
        ("read", [True], "The text must be a text, but it is True."),
        ("read", ["half \ud83d"], "half a character"),
        ("read", [{"meta": {"_type": "gradio.FileData"}}], "inputs of this page are texts and numbers, not files."),
        ("write", [["half \ud83d"], 2, 4, 0, 0, 0], "There is no symbol called half ?."),
        ("write", [["food"], 2, 4, 0, 0, 1e30], "The seed must be a whole number from 0 to"),
    ],
)
def test_no_request_is_answered_by_null(address, endpoint, data, sentence):
    said = answer_to(address, endpoint, {"data": data})
    assert sentence in said and "event: complete" not in said and "Traceback" not in said


needs_faiss = pytest.mark.skipif(not OwnTexts.is_possible(), reason="faiss is not installed")


@needs_faiss
def test_only_small_files_can_be_uploaded(address):
    upload = f"{address}gradio_api/upload"
    said = httpx.post(upload, files={"files": ("a.csv", b"a" * 2_000_000)})
    assert said.status_code == 413
    assert httpx.post(f"{upload}/elsewhere", files={"files": ("a.csv", b"a")}).status_code == 404
    said = httpx.post(f"{address}gradio_api/queue/join", content=b"{" + b" " * 2**16)
    assert said.status_code == 413
    (path,) = httpx.post(upload, files={"files": ("a.csv", b"text\na\n")}).json()
    said = answer_to(address, "read", {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]})
    assert "The text must be a text, but it is" in said, "files are for one button"


def test_page_without_own_texts_takes_no_files():
    for takes_files in (True, False):
        (guard,) = launch_options(takes_files)["app_kwargs"]["middleware"]
        assert (guard.kwargs["uploads"] is not None) == takes_files


@needs_faiss
def test_a_file_that_was_not_uploaded_is_not_read(tmp_path):
    (tmp_path / "uploads").mkdir()
    secret, mine = tmp_path / "secret.csv", tmp_path / "uploads" / "mine.csv"
    secret.write_text("text\nsecret\n")
    mine.write_text("text\nmine\n")
    assert uploaded_file({"path": str(mine)}, tmp_path / "uploads") == mine
    for other in ({"path": str(secret)}, {"path": str(mine.with_name("gone.csv"))}, {"url": "x"}, "mine.csv", [], 3):
        with pytest.raises(BadRequest, match="The file has not arrived"):
            uploaded_file(other, tmp_path / "uploads")


@needs_faiss
def test_own_texts_are_checked_and_their_training_is_shown(page, monkeypatch):
    functions = {function.name: function for function in page.fns.values()}
    train, write = functions["train"].fn, functions["write_own"].fn
    with pytest.raises(gradio.Error, match="At least 40 different texts are needed"):
        next(train("one\ntwo", None, "text", 3))
    with pytest.raises(gradio.Error, match="The file has not arrived"):
        next(train("", {"path": "/etc/passwd"}, "text", 3))
    with pytest.raises(gradio.Error, match="There is no model of yours"):
        write(None, "food", 2, 0, 0)
    texts = functions["example_texts"].fn()
    assert len(set(texts.splitlines())) >= 40 and len(texts) < 25_000
    steps = train(texts, None, "text", 3)
    assert "Reading" in next(steps)[0] and "<progress" in next(steps)[0]
    steps.close()


@needs_faiss
def test_a_forgotten_model_is_not_asked(page):
    write = next(function.fn for function in page.fns.values() if function.name == "write_own")
    model = OwnModel("requests", [])
    model.forget()
    with pytest.raises(gradio.Error, match="There is no model of yours .* kept for 15 minutes"):
        write(model, "food", 2, 0, 0)


@needs_faiss
def test_gpus_are_borrowed_for_the_model_of_the_page_only(checkpoint, monkeypatch):
    """A visitor's own model is on the CPU, and cannot be sent to the process that has the GPU."""
    borrowing = []
    monkeypatch.setattr(events, "on_gpu", lambda function: borrowing.append(function.__name__) or function)
    functions = {function.name for function in build([checkpoint], own=OwnTexts()).fns.values()}
    assert {"write", "read", "complete"} < set(borrowing)
    assert {"train", "write_own"} < functions and not {"train", "write_own"} & set(borrowing)


def test_pictures_of_answers_are_deleted_and_those_of_the_page_stay(page, visitor):
    from gradio.route_utils import delete_files_created_by_app

    assert page.delete_cache[1] < 3600
    visitor.predict("we sell tea", api_name="/read")
    of_answers = {file for files in page.temp_file_sets for file in files}
    of_page = {file for block in page.blocks.values() for file in block.keep_in_cache}
    assert of_answers - of_page and of_page
    delete_files_created_by_app(page, 0)
    assert not any(Path(file).exists() for file in of_answers - of_page)
    assert all(Path(file).exists() for file in of_page)


def test_what_goes_wrong_inside_is_not_shown(caplog):
    @events.answering
    def broken():
        raise RuntimeError("secret")

    with pytest.raises(gradio.Error) as raised:
        broken()
    assert raised.value.message == events.INTERNAL_ERROR
    assert "secret" in caplog.text


def test_visitors_at_once_get_their_own_answers(visitor):
    address = visitor.src
    asked = [(symbol, seed) for symbol in ("food", "drink") for seed in range(4)]

    def write(symbol, seed, own):
        return own.predict([symbol], 2, 4, 1, 0, seed, api_name="/write")[0]["data"]

    alone = [write(*one, visitor) for one in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        together = list(pool.map(lambda one: write(*one, client.Client(address, verbose=False)), asked))
    assert together == alone
