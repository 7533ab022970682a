"""`write_samples`: whole files with the same bytes whenever and however often the process is killed."""

import json
import os
import pkgutil
import random
import re
import resource
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch
from killed_processes import run_or_kill
from pyarrow import parquet
from tiny_models import seeded, tiny_model

from ldebm_hf import build_tokenizer
from ldebm_hf.files import atomic, resumable, writing
from ldebm_hf.files.writing import write_samples
from ldebm_hf.model import generation
from ldebm_hf.model.text_reading import decode_words

REQUEST = {"num_samples": 90, "batch_size": 8, "max_new_tokens": 12, "show_progress": False}


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(["a b c d e f g ü"])


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# ----------------------------------------------------------------------------------------------------- what is written


def test_records_have_an_index_the_symbol_and_the_text(model, tokenizer, tmp_path):
    path = tmp_path / "deep" / "samples.jsonl"
    options = {"batch_size": 4, "do_sample": True, "show_progress": False}
    write_samples(model, tokenizer, path, 5, class_labels=["bad", 0], **options)
    records = read_lines(path)
    assert [record["index"] for record in records] == list(range(10))
    assert [record["symbol"] for record in records] == ["bad"] * 5 + ["good"] * 5
    texts = [record["text"] for record in records]
    assert len(set(texts)) > 3 and all(set(text.split()) <= {*"abcdefgü", "<unk>"} for text in texts)
    assert "ü" in path.read_text("utf-8")
    assert [file.name for file in path.parent.iterdir()] == ["samples.jsonl"]


@pytest.mark.parametrize("preset", ["vae", "gm_vae", "di_vae", "rnn_lm"])
def test_every_prior_writes(preset, tokenizer, tmp_path):
    model = tiny_model(preset)
    options = {"batch_size": 4, "show_progress": False}
    labels = {"class_labels": ["bad", 0]} if model.has_symbols else {}
    write_samples(model, tokenizer, tmp_path / "a.jsonl", 6, **labels, **options)
    symbols = [record["symbol"] for record in read_lines(tmp_path / "a.jsonl")]
    assert symbols == (["bad"] * 6 + ["good"] * 6 if labels else [None] * 6)


def test_texts_are_those_of_generate(model, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "chunk_generator", lambda seed, chunk: seeded(chunk))
    write_samples(model, tokenizer, tmp_path / "a.jsonl", 5, batch_size=3, do_sample=True, show_progress=False)
    expected = []
    for chunk, size in enumerate((3, 2)):
        ids = model.generate(num_samples=size, do_sample=True, generator=seeded(chunk))
        expected += decode_words(tokenizer, ids)
    assert [record["text"] for record in read_lines(tmp_path / "a.jsonl")] == expected
    assert [record["symbol"] for record in read_lines(tmp_path / "a.jsonl")] == [None] * 5


def test_given_latents_are_written_chunk_by_chunk(model, tokenizer, tmp_path):
    latents = torch.randn(7, model.config.latent_size, generator=seeded(3))
    options = {"latents": latents, "batch_size": 3, "show_progress": False}
    write_samples(model, tokenizer, tmp_path / "samples.jsonl", 7, **options)
    texts = decode_words(tokenizer, model.generate(latents=latents))
    assert [record["text"] for record in read_lines(tmp_path / "samples.jsonl")] == texts
    with pytest.raises(ValueError, match="latents cannot be used with class_labels, got class_labels=0"):
        write_samples(model, tokenizer, tmp_path / "other.jsonl", 7, **options, class_labels=0)
    with pytest.raises(ValueError, match="latents must have num_samples=7 rows, got 5"):
        write_samples(model, tokenizer, tmp_path / "other.jsonl", 7, **(options | {"latents": latents[:5]}))


def test_models_own_settings_do_not_change_the_number_of_texts(tokenizer, tmp_path):
    model = tiny_model()
    model.generation_config.update(do_sample=True, num_return_sequences=3, return_dict_in_generate=True)
    write_samples(model, tokenizer, tmp_path / "a.jsonl", 5, batch_size=3, show_progress=False)
    assert len(read_lines(tmp_path / "a.jsonl")) == 5


def test_seed_and_chunk_decide_the_noise(model, tokenizer, tmp_path):
    texts = {}
    for name, seed, number in (("first", 0, 16), ("again", 0, 16), ("longer", 0, 20), ("other", 1, 16)):
        path = tmp_path / f"{name}.jsonl"
        write_samples(model, tokenizer, path, number, batch_size=8, seed=seed, show_progress=False)
        texts[name] = [record["text"] for record in read_lines(path)]
    assert texts["first"] == texts["again"] == texts["longer"][:16]
    assert texts["first"] != texts["other"] and texts["first"][:8] != texts["first"][8:]


def test_parquet_holds_the_same_records(model, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "PARQUET_BLOCK", 1000)
    for symbols in (None, ["neutral", "bad"]):
        for ending in ("jsonl", "parquet"):
            path = tmp_path / f"samples.{ending}"
            write_samples(model, tokenizer, path, 30, class_labels=symbols, overwrite=True, show_progress=False)
        assert parquet.read_table(tmp_path / "samples.parquet").to_pylist() == read_lines(tmp_path / "samples.jsonl")
    assert parquet.ParquetFile(tmp_path / "samples.parquet").num_row_groups > 1


def test_progress_bar_counts_texts(model, tokenizer, tmp_path, capsys):
    write_samples(model, tokenizer, tmp_path / "a.jsonl", 6, batch_size=4)
    assert "6/6" in capsys.readouterr().err
    write_samples(model, tokenizer, tmp_path / "b.jsonl", 6, batch_size=4, show_progress=False)
    assert capsys.readouterr().err == ""


# -------------------------------------------------------------------------------------------------------------- killed


def die_after(function, calls: int):
    """`function`, which is the process's last deed when it has been called so many times."""
    left = [calls]

    def mortal(*arguments, **keywords):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **keywords)

    return mortal


def write_until_killed(path: Path, place: tuple[str, str] | None, calls: int, max_file_size: int | None) -> None:
    """The request in a process of its own, which kills itself at the named function after so many calls."""
    torch.set_num_threads(1)
    if place is not None:
        module = {"atomic": atomic, "resumable": resumable, "shutil": shutil, "writing": writing}[place[0]]
        setattr(module, place[1], die_after(getattr(module, place[1]), calls))
    if max_file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_size, max_file_size))
    tokenizer = build_tokenizer(["a b c d e f g ü"])
    write_samples(tiny_model(), tokenizer, path, class_labels=["bad", "good"], **REQUEST)


@pytest.fixture(scope="module")
def run(processes):
    def start(path, place=None, calls=0, kill_after=None, max_file_size=None):
        process = processes.Process(target=write_until_killed, args=(path, place, calls, max_file_size))
        return run_or_kill(process, kill_after)

    return start


@pytest.fixture(scope="module", params=["jsonl", "parquet"])
def uninterrupted(request, run, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("uninterrupted") / f"samples.{request.param}"
    assert run(path) == 0
    return path


@pytest.mark.parametrize(
    ("place", "calls"),
    [
        (("resumable", "write_text"), 1),  # with the request written, before the first part
        (("atomic", "flush"), 5),  # a part is written but not in place
        (("writing", "chunk_generator"), 22),  # before the last part
        (("shutil", "copyfileobj"), 9),  # while the parts are joined
        (("resumable", "flush"), 0),  # joined, not in place
        (("resumable", "flush"), 1),  # in place, the parts are still there
    ],
)
def test_file_is_the_same_after_a_kill_at_the_worst_places(run, tmp_path, uninterrupted, place, calls):
    path = tmp_path / uninterrupted.name
    assert run(path, place, calls) == -signal.SIGKILL
    assert path.exists() == (place == ("resumable", "flush") and calls == 1)
    assert run(path) == 0
    assert path.read_bytes() == uninterrupted.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_file_is_the_same_after_kills_at_random_moments(run, tmp_path, uninterrupted):
    """The allowance grows, so that the run gets through in the end; begun anew with less of it by a run too fast."""
    path, rng, kills, seconds = tmp_path / uninterrupted.name, random.Random(0), 0, 0.4
    while kills == 0:
        path.unlink(missing_ok=True)
        while run(path, kill_after=rng.uniform(0.25, 1) * seconds * 1.5**kills) == -signal.SIGKILL:
            kills += 1
            assert not path.exists() or path.read_bytes() == uninterrupted.read_bytes()
        seconds /= 2
    assert path.read_bytes() == uninterrupted.read_bytes()


def test_finished_parts_are_not_written_again(run, tmp_path, uninterrupted):
    path = tmp_path / uninterrupted.name
    assert run(path, ("writing", "chunk_generator"), 10) == -signal.SIGKILL
    assert run(path, ("writing", "chunk_generator"), 13) == 0  # of 23


def test_kill_while_the_parts_are_removed_leaves_a_finished_file(run, tmp_path, uninterrupted, model, tokenizer):
    path = tmp_path / uninterrupted.name
    assert run(path, ("shutil", "rmtree"), 1) == -signal.SIGKILL
    assert path.read_bytes() == uninterrupted.read_bytes()
    with pytest.raises(FileExistsError, match="exists already"):
        write_samples(model, tokenizer, path, 5)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


# ----------------------------------------------------------------------------------------------------------- full disk


def test_full_disk_is_one_clear_error_and_keeps_what_is_whole(model, tokenizer, tmp_path, monkeypatch):
    path, write_text = tmp_path / "samples.jsonl", resumable.write_text

    def full_after_three(place, text):
        if place.name == "part-00000003.jsonl":
            raise OSError(28, "No space left on device")
        write_text(place, text)

    monkeypatch.setattr(resumable, "write_text", full_after_three)
    message = r"samples.jsonl could not be written: No space left on device. 3 of 12 chunks are finished and stay in"
    with pytest.raises(OSError, match=message):
        write_samples(model, tokenizer, path, **REQUEST)
    monkeypatch.undo()
    write_samples(model, tokenizer, path, **REQUEST)
    write_samples(model, tokenizer, tmp_path / "whole.jsonl", **REQUEST)
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_no_room_for_the_joined_file(run, tmp_path, uninterrupted):
    """The system lets the parts be written, but no file of the size of all of them."""
    path = tmp_path / uninterrupted.name
    assert run(path, max_file_size=2000) == 1
    assert not path.exists()
    assert run(path, ("writing", "chunk_generator"), 0) == 0
    assert path.read_bytes() == uninterrupted.read_bytes()


# ----------------------------------------------------------------------------------------- other requests and mistakes


def unfinished(model, tokenizer, path, monkeypatch, **request):
    """Leave `path` as a run does that stops before its last part."""
    with monkeypatch.context() as patch:
        patch.setattr(writing.ResumableFile, "finish", lambda file, join: file[0].unlink())
        write_samples(model, tokenizer, path, **{**REQUEST, **request})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_samples": 91}, "num_samples was 90 and is now 91"),
        ({"class_labels": "bad"}, r"class_labels was \[None\] and is now \[1\]"),
        ({"batch_size": 9}, "batch_size was 8 and is now 9"),
        ({"seed": 1}, "seed was 0 and is now 1"),
        ({"max_new_tokens": 13}, "max_new_tokens was 12 and is now 13"),
        ({"do_sample": True}, "do_sample was None and is now True"),
    ],
)
def test_different_request_in_the_same_place_is_refused(model, tokenizer, tmp_path, monkeypatch, change, message):
    path = tmp_path / "samples.jsonl"
    unfinished(model, tokenizer, path, monkeypatch)
    with pytest.raises(ValueError, match=f"holds a different request that is not finished: {message}. The earlier"):
        write_samples(model, tokenizer, path, **{**REQUEST, **change})
    write_samples(model, tokenizer, path, overwrite=True, **{**REQUEST, **change})
    write_samples(model, tokenizer, tmp_path / "alone.jsonl", **{**REQUEST, **change})
    assert path.read_bytes() == (tmp_path / "alone.jsonl").read_bytes()


def test_other_model_or_tokenizer_is_a_different_request(model, tokenizer, tmp_path, monkeypatch):
    unfinished(model, tokenizer, tmp_path / "samples.jsonl", monkeypatch)
    other = tiny_model()
    with torch.no_grad():
        other.decoder.embedding.weight[5, 0] += 1e-6
    with pytest.raises(ValueError, match="not finished: the model was .* and is now [^;]*. The earlier"):
        write_samples(other, tokenizer, tmp_path / "samples.jsonl", **REQUEST)
    longer = tiny_model()
    longer.config.langevin_steps += 1
    with pytest.raises(ValueError, match="not finished: the model was"):
        write_samples(longer, tokenizer, tmp_path / "samples.jsonl", **REQUEST)
    with pytest.raises(ValueError, match="not finished: the tokenizer was"):
        write_samples(model, build_tokenizer(["a b c d e f g h"]), tmp_path / "samples.jsonl", **REQUEST)


def test_other_precision_of_the_chains_is_a_different_request(tokenizer, tmp_path, monkeypatch):
    model = tiny_model()
    unfinished(model, tokenizer, tmp_path / "samples.jsonl", monkeypatch)
    model.prior.optimize_sampler(dtype=torch.bfloat16)
    with pytest.raises(ValueError, match=r"the sampler was \{\} and is now \{.*'dtype': 'torch.bfloat16'\}"):
        write_samples(model, tokenizer, tmp_path / "samples.jsonl", **REQUEST)


def test_mistake_found_before_the_first_chunk_leaves_the_place_free(model, tokenizer, tmp_path):
    path = tmp_path / "samples.jsonl"
    with pytest.raises(ValueError, match="temprature"):
        write_samples(model, tokenizer, path, temprature=3, **REQUEST)
    write_samples(model, tokenizer, path, temperature=3.0, do_sample=True, **REQUEST)
    assert len(read_lines(path)) == 90


def test_parquet_without_pyarrow_is_an_error_at_once(model, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="writing .*samples.parquet needs pyarrow: pip install pyarrow"):
        write_samples(model, tokenizer, tmp_path / "samples.parquet", **REQUEST)
    assert not list(tmp_path.iterdir())


def test_finished_file_is_only_replaced_when_told(model, tokenizer, tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="samples.jsonl exists already: overwrite it, or choose another file"):
        write_samples(model, tokenizer, path, **REQUEST)
    assert path.read_text() == "precious"
    write_samples(model, tokenizer, path, overwrite=True, **REQUEST)
    assert len(read_lines(path)) == 90


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        ("a.csv", {}, "path must end in .jsonl or .parquet, got '.*a.csv'"),
        ("a.jsonl", {"num_samples": 0}, "num_samples must be at least 1, got 0"),
        ("a.jsonl", {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ("a.jsonl", {"seed": -1}, "seed must be at least 0, got -1"),
        ("a.jsonl", {"num_return_sequences": 2}, "num_return_sequences cannot be given to write_samples"),
        ("a.jsonl", {"logits_processor": [print]}, "logits_processor must be a value that JSON can hold, got .*print"),
        ("a.jsonl", {"class_labels": "ugly"}, "class_labels must be in 0..2 or one of 'good', .*got 'ugly'"),
        ("a.jsonl", {"class_labels": []}, r"class_labels must name at least one symbol, got none"),
        ("a.jsonl", {"guidance_scale": 2.0}, "guidance_scale needs class_labels"),
        ("a.jsonl", {"max_tokens": 2}, "max_tokens cannot be given to generate"),
    ],
)
def test_mistakes_are_named(model, tokenizer, tmp_path, path, change, message):
    with pytest.raises(ValueError, match=message):
        write_samples(model, tokenizer, tmp_path / path, **{**REQUEST, **change})
    assert not (tmp_path / path).exists()


@pytest.mark.parametrize("module", [generation, writing])
def test_names_in_the_documentation_exist(module):
    for name in re.findall(r"`(ldebm_hf\.[\w.]+)`", Path(module.__file__).read_text("utf-8")):
        pkgutil.resolve_name(name)
