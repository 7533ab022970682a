"""The likelihood of a data set in a file: its content, and that an interrupted run writes the same bytes."""

import contextlib
import json
import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import TINY_SIZES, seeded, tiny_model

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer
from ldebm_hf.likelihood import annealed_importance, bounds, corpus_likelihood
from ldebm_hf.likelihood.bounds import LikelihoodSettings, estimate_log_likelihood
from ldebm_hf.likelihood.corpus_likelihood import write_likelihood
from ldebm_hf.likelihood.latent_density import Annealing

TEXTS = ["a b c", "c d e f g", "h", "b b a", "e f", "g h a b"]
SETTINGS = LikelihoodSettings(
    num_posterior_samples=50, num_fitting_rounds=1, num_annealed_samples=20, num_temperatures=4
)
OPTIONS = {"chunk_size": 2, "show_progress": False}


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(TEXTS)  # 8 words and 4 special tokens, the vocabulary of the tiny models


@pytest.fixture(scope="module")
def model():
    return tiny_model("consistent")


def test_file_holds_the_values_of_every_example_and_their_summary(model, tokenizer, tmp_path):
    path = tmp_path / "likelihood.json"
    summary = write_likelihood(model, TEXTS, path, SETTINGS, tokenizer=tokenizer, **OPTIONS)
    written = json.loads(path.read_text())
    assert written["summary"] == {**vars(summary)}
    examples = {name: np.array(values) for name, values in written["examples"].items()}
    assert {len(values) for values in examples.values()} == {6}
    assert examples["num_tokens"].tolist() == [4, 6, 2, 4, 3, 5]  # words and end
    assert summary.num_examples == 6 and summary.num_tokens == 24
    assert summary.lower == pytest.approx(examples["lower"].mean())
    assert summary.perplexity == pytest.approx(math.exp(-examples["lower"].sum() / 24))
    assert summary.least_perplexity == pytest.approx(math.exp(-examples["upper"].sum() / 24))
    own = math.sqrt((examples["lower_error"] ** 2).sum()) / 6
    assert summary.lower_error == pytest.approx(math.hypot(own, written["annealing"]["log_last_tilt_error"]))
    assert summary.effective_samples["smallest"] == examples["effective_samples"].min()
    assert list(tmp_path.iterdir()) == [path]


def test_figures_are_those_of_the_estimate_of_each_chunk(tokenizer, tmp_path):
    model = tiny_model("vae")
    write_likelihood(model, TEXTS, tmp_path / "one.json", SETTINGS, tokenizer=tokenizer, seed=3, **OPTIONS)
    written = json.loads((tmp_path / "one.json").read_text())
    batch = tokenizer(TEXTS[2:4], return_tensors="pt", padding=True)
    expected = estimate_log_likelihood(model, SETTINGS, generator=corpus_likelihood.chunk_generator(3, 1), **batch)
    assert written["examples"]["lower"][2:4] == expected.lower.tolist()
    assert written["annealing"] is None and "effective_annealed" not in written["examples"]


def test_every_chunk_is_estimated_with_the_annealing_that_was_prepared_once(model, tokenizer, tmp_path):
    write_likelihood(model, TEXTS, tmp_path / "one.json", SETTINGS, tokenizer=tokenizer, seed=3, **OPTIONS)
    written = json.loads((tmp_path / "one.json").read_text())
    batch = tokenizer(TEXTS[2:4], return_tensors="pt", padding=True)
    options = {"annealing": Annealing(**written["annealing"]), "generator": corpus_likelihood.chunk_generator(3, 1)}
    expected = estimate_log_likelihood(model, SETTINGS, **options, **batch)
    assert written["examples"]["lower"][2:4] == expected.lower.tolist()
    assert written["examples"]["upper"][2:4] == expected.upper.tolist()


def test_chunk_sizes_change_the_noise_only(model, tokenizer, tmp_path):
    settings, columns = replace(SETTINGS, num_posterior_samples=200), []
    for chunk_size in (1, 6):
        path = tmp_path / f"{chunk_size}.json"
        write_likelihood(model, TEXTS, path, settings, tokenizer=tokenizer, chunk_size=chunk_size, show_progress=False)
        columns.append({name: np.array(values) for name, values in json.loads(path.read_text())["examples"].items()})
    one, six = columns
    assert not np.array_equal(one["lower"][1:], six["lower"][1:])
    for side in ("lower", "upper"):
        error = np.hypot(one[f"{side}_error"], six[f"{side}_error"])
        assert (error < 0.5).all() and (np.abs(one[side] - six[side]) < 5 * error).all()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("chunks_before", [0, 1, 2])
def test_a_killed_run_resumes_to_the_same_bytes(model, tokenizer, tmp_path, monkeypatch, chunks_before):
    whole, resumed = tmp_path / "whole.json", tmp_path / "resumed.json"
    estimate, calls = corpus_likelihood.estimate_log_likelihood, []

    def killed_after(*arguments, **settings):
        calls.append(1)
        if len(calls) > chunks_before:
            raise Killed
        return estimate(*arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(corpus_likelihood, "estimate_log_likelihood", killed_after)
        with pytest.raises(Killed):
            write_likelihood(model, TEXTS, resumed, SETTINGS, tokenizer=tokenizer, **OPTIONS)
    assert not resumed.exists()
    prepare = corpus_likelihood.prepare_annealing
    with monkeypatch.context() as patch:  # found out once
        patch.setattr(corpus_likelihood, "prepare_annealing", lambda *arguments, **settings: pytest.fail("again"))
        write_likelihood(model, TEXTS, resumed, SETTINGS, tokenizer=tokenizer, **OPTIONS)
    assert corpus_likelihood.prepare_annealing is prepare
    write_likelihood(model, TEXTS, whole, SETTINGS, tokenizer=tokenizer, **OPTIONS)
    assert resumed.read_bytes() == whole.read_bytes()


def test_a_different_request_does_not_continue_an_unfinished_one(model, tokenizer, tmp_path, monkeypatch):
    path = tmp_path / "likelihood.json"
    monkeypatch.setattr(corpus_likelihood, "summarize", lambda *columns: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        write_likelihood(model, TEXTS, path, SETTINGS, tokenizer=tokenizer, **OPTIONS)
    monkeypatch.undo()
    for change in ({"seed": 1}, {"max_length": 3}):
        name = next(iter(change))
        with pytest.raises(ValueError, match=f"different request that is not finished: {name} was"):
            write_likelihood(model, TEXTS, path, SETTINGS, tokenizer=tokenizer, **OPTIONS, **change)
    with pytest.raises(ValueError, match="the data was"):
        write_likelihood(model, TEXTS[1:], path, SETTINGS, tokenizer=tokenizer, **OPTIONS)
    for module, name in ((bounds, "WIDENING"), (annealed_importance, "LARGEST_STEP")):
        with monkeypatch.context() as patch, pytest.raises(ValueError, match=f"not finished: {name} was .* now 0.5"):
            patch.setattr(module, name, 0.5)
            write_likelihood(model, TEXTS, path, SETTINGS, tokenizer=tokenizer, **OPTIONS)
    write_likelihood(model, TEXTS, path, SETTINGS, tokenizer=tokenizer, overwrite=True, seed=1, **OPTIONS)
    with pytest.raises(FileExistsError, match="exists already"):
        write_likelihood(model, TEXTS, path, SETTINGS, tokenizer=tokenizer, **OPTIONS)


def test_texts_are_cut_only_on_request(tokenizer, tmp_path):
    """By a language model, whose likelihoods are exact and therefore trusted without any samples."""
    counts = []
    for max_length in (None, 4):
        path = tmp_path / f"{max_length}.json"
        summary = write_likelihood(tiny_model("rnn_lm"), TEXTS, path, SETTINGS, tokenizer=tokenizer,
                                   max_length=max_length, **OPTIONS)  # fmt: skip
        assert summary.is_trusted and summary.effective_samples is None and summary.lower_error == 0
        counts.append(json.loads(path.read_text())["examples"]["num_tokens"])
    assert counts == [[4, 6, 2, 4, 3, 5], [3, 3, 2, 3, 3, 3]]


def test_long_texts_give_no_warning(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    short = build_tokenizer(TEXTS, max_length=4)
    write_likelihood(tiny_model("rnn_lm"), TEXTS, tmp_path / "one.json", SETTINGS, tokenizer=short, **OPTIONS)
    assert caplog.messages == []


def test_unknown_and_cut_words_are_counted(tokenizer, tmp_path, caplog):
    texts, options = [*TEXTS, "a zzz"], OPTIONS | {"tokenizer": tokenizer}
    write_likelihood(tiny_model("rnn_lm"), texts, tmp_path / "whole.json", SETTINGS, **options)
    write_likelihood(tiny_model("rnn_lm"), texts, tmp_path / "cut.json", SETTINGS, max_length=4, **options)
    unknown = "1 of 20 words (5 %) are unknown to the model, in 1 of 7 texts"
    cut = "1 of 13 words (7.7 %) are unknown to the model, in 1 of 7 texts; 4 of 7 texts are cut to 4 tokens"
    assert caplog.messages == [unknown, cut]


def test_points(tmp_path):
    torch.manual_seed(0)
    sizes = {**TINY_SIZES, "modality": "point", "point_hidden_size": 8}
    model = LDEBMModel(LDEBMConfig.from_preset("svebm", **sizes)).eval()
    points = torch.randn(5, 2, generator=seeded()).numpy()
    summary = write_likelihood(model, points, tmp_path / "points.json", SETTINGS, **OPTIONS)
    assert summary.num_examples == 5 and summary.perplexity is None and summary.effective_annealed is None
    assert 0 <= summary.upper - summary.lower + 0.1 < 0.5


def test_published_estimate_is_written_too(tokenizer, tmp_path):
    model = tiny_model("published")
    few = LikelihoodSettings(num_posterior_samples=2, num_fitting_rounds=0, num_annealed_samples=1, num_temperatures=1)
    summary = write_likelihood(
        model, TEXTS[:2], tmp_path / "published.json", few, tokenizer=tokenizer, published=True, **OPTIONS
    )
    published = json.loads((tmp_path / "published.json").read_text())["examples"]["published"]
    assert summary.published == pytest.approx(np.mean(published)) and len(published) == 2
    assert not summary.is_trusted  # two samples are too few
    assert summary.untrusted_share == 1


def summary_of(lower, upper, samples, annealed, last_level_error=0.0, error=0.1):
    columns = {"lower": lower, "upper": upper, "effective_samples": samples, "effective_annealed": annealed}
    columns |= {"lower_error": [error] * 20, "upper_error": [error] * 20}
    return corpus_likelihood.summarize(columns, Annealing(1, [0.9], 0.0, 0.0, last_level_error))


@pytest.mark.parametrize(
    ("changes", "share", "is_trusted"),
    [
        ({}, 0.0, True),
        ({"samples": [9.0] * 2 + [50.0] * 18}, 0.1, True),
        ({"samples": [9.0] * 3 + [50.0] * 17}, 0.15, False),
        ({"annealed": [9.0] * 3 + [50.0] * 17}, 0.15, False),
        ({"upper": [-4.2] * 3 + [-4.9] * 17}, 0.15, False),
        ({"upper": [-4.4] * 20}, 0.0, False),
        ({"last_level_error": 0.31}, 0.0, True),
        ({"last_level_error": 0.32}, 0.0, False),
    ],
)
def test_figures_are_trusted_by_the_documented_thresholds(changes, share, is_trusted):
    """Ten effective samples, and 0.5 nats plus the two standard errors of 0.1; in at least 90 % of the examples."""
    columns = {"lower": [-5.0] * 20, "upper": [-4.9] * 20, "samples": [50.0] * 20, "annealed": [50.0] * 20}
    summary = summary_of(**{**columns, **changes})
    assert summary.untrusted_share == pytest.approx(share) and summary.is_trusted is is_trusted


@pytest.mark.parametrize(
    ("data", "path", "options", "message"),
    [
        (TEXTS, "a.txt", {}, "must end in .json"),
        ([], "a.json", {}, "data must be texts or points, at least one"),
        ("a b", "a.json", {}, "data must be texts or points, at least one"),
        (TEXTS, "a.json", {"chunk_size": 0}, "chunk_size must be at least 1, got 0"),
        (TEXTS, "a.json", {"seed": -1}, "seed must be at least 0, got -1"),
        (TEXTS, "a.json", {"tokenizer": None}, "tokenizer must be given"),
        (TEXTS, "a.json", {"max_length": 2}, "max_length must be at least 3, got 2"),
        (TEXTS, "a.json", {"published": True}, "published estimator needs base_level_noise True, got False"),
    ],
)
def test_bad_arguments(model, tokenizer, tmp_path, data, path, options, message):
    with pytest.raises(ValueError, match=message):
        write_likelihood(model, data, tmp_path / path, SETTINGS, **{"tokenizer": tokenizer, **options})
    assert list(tmp_path.iterdir()) == []


def test_impossible_texts_have_an_infinite_perplexity():
    """More than 709 nats per token, whose exponential overflows in float64."""
    columns = {"lower": [-1500.0], "upper": [-1400.0], "num_tokens": [2.0], "lower_error": [0.1], "upper_error": [0.1]}
    summary = corpus_likelihood.summarize(columns, None)
    assert summary.perplexity == math.inf and summary.least_perplexity == pytest.approx(math.exp(700))


def record_of(**columns: list[float]) -> dict[str, list[float]]:
    """Columns of figures of which those that are not given are trusted."""
    size = len(next(iter(columns.values())))
    exact = {"lower": [-5.0] * size, "upper": [-5.0] * size, "lower_error": [0.0] * size, "upper_error": [0.0] * size}
    return exact | columns


def test_summary_is_written_out():
    summary = corpus_likelihood.summarize(
        record_of(
            lower=[-4.0, -6.0, -11.0], upper=[-4.0, -6.0, -10.7], lower_error=[0.3, 0.4, 1.2], num_tokens=[2, 3, 5],
            upper_error=[0.1, 0.2, 0.2], effective_samples=[30.0, 10.0, 20.0], published=[1.0, 2.0, 6.0],
        ),
        None,
    )  # fmt: skip
    assert (summary.num_examples, summary.num_tokens, summary.published) == (3, 10, 3)
    assert (summary.lower, summary.upper) == pytest.approx((-7, -6.9))
    assert (summary.lower_error, summary.upper_error) == pytest.approx((1.3 / 3, 0.1))
    assert summary.sampling_error == pytest.approx(math.sqrt((9 + 1 + 16) / 2 / 3))
    assert (summary.perplexity, summary.least_perplexity) == pytest.approx((math.exp(2.1), math.exp(2.07)))
    assert summary.effective_samples == pytest.approx({"smallest": 10, "5 %": 11, "median": 20})
    assert summary.effective_annealed is None and summary.untrusted_share == 0 and summary.is_trusted
    single = corpus_likelihood.summarize(record_of(lower=[-4.0], upper=[-4.0]), None)
    assert single.sampling_error is None and single.num_tokens is None and single.published is None


@pytest.mark.parametrize(
    ("columns", "is_trusted"),
    [
        ({"pareto_k": [0.7]}, True),
        ({"pareto_k": [0.701]}, False),
        ({"effective_samples": [10.0]}, True),
        ({"effective_samples": [9.99]}, False),
        ({"effective_annealed": [9.99]}, False),
        ({"upper": [-4.5]}, True),
        ({"upper": [-4.49]}, False),
        ({"upper": [-5.51]}, False),
    ],
)
def test_a_single_example_is_trusted_up_to_the_thresholds(columns, is_trusted):
    summary = corpus_likelihood.summarize(record_of(**columns), None)
    assert summary.is_trusted is is_trusted
    assert summary.untrusted_share == (0 if is_trusted else 1)


def test_defaults_are_chunks_of_eight_and_the_seed_0(tokenizer, tmp_path, capsys):
    model, path = tiny_model("vae"), tmp_path / "nine.json"
    write_likelihood(model, [*TEXTS, *TEXTS[:3]], str(path), SETTINGS, tokenizer=tokenizer)
    examples = json.loads(path.read_text())["examples"]
    for chunk, texts in enumerate([[*TEXTS, *TEXTS[:2]], TEXTS[2:3]]):
        batch = tokenizer(texts, return_tensors="pt", padding=True)
        generator = corpus_likelihood.chunk_generator(0, chunk)
        expected = estimate_log_likelihood(model, SETTINGS, generator=generator, **batch)
        assert examples["lower"][8 * chunk : 8 * chunk + 8] == expected.lower.tolist()
    assert "9/9" in capsys.readouterr().err
    with pytest.raises(FileExistsError):
        write_likelihood(model, TEXTS, path, SETTINGS, tokenizer=tokenizer)
    write_likelihood(model, TEXTS, path, SETTINGS, tokenizer=tokenizer, overwrite=True, show_progress=False)
    assert len(json.loads(path.read_text())["examples"]["lower"]) == 6
    assert capsys.readouterr().err == ""


def test_smallest_values_that_are_allowed(tokenizer, tmp_path):
    options = {"tokenizer": tokenizer, "max_length": 3, "chunk_size": 1, "seed": 0, "show_progress": False}
    summary = write_likelihood(tiny_model("rnn_lm"), TEXTS[:1], tmp_path / "one.json", SETTINGS, **options)
    assert summary.num_tokens == 2


def test_request_names_all_that_decides(model, tokenizer, tmp_path):
    path = tmp_path / "one.json"
    write_likelihood(model, TEXTS, path, SETTINGS, tokenizer=tokenizer, **OPTIONS)
    request = json.loads(path.read_text())["request"]
    expected = {"max_length": None, "published": False, "chunk_size": 2, "seed": 0, "the device": "cpu"}
    assert {**vars(SETTINGS), **expected}.items() <= request.items()
    for module, names in corpus_likelihood.DECISIVE_CONSTANTS.items():
        assert {name: getattr(module, name) for name in names}.items() <= request.items()


def test_progress_goes_on_where_it_was(model, tokenizer, tmp_path, monkeypatch):
    bars = []

    class Bar:
        def __init__(self, **settings):
            self.settings, self.steps = settings, []
            bars.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def update(self, number):
            self.steps.append(number)
            if len(bars) == 1 and len(self.steps) == 1:
                raise Killed

    monkeypatch.setattr(corpus_likelihood, "tqdm", Bar)
    for _ in range(2):
        with contextlib.suppress(Killed):
            write_likelihood(model, TEXTS[:5], tmp_path / "one.json", SETTINGS, tokenizer=tokenizer, **OPTIONS)
    assert [bar.settings["total"] for bar in bars] == [5, 5] and [bar.settings["initial"] for bar in bars] == [0, 2]
    assert [bar.steps for bar in bars] == [[2], [2, 1]] and all(bar.settings["disable"] for bar in bars)


def test_published_values_are_of_single_texts_without_padding(tokenizer):
    batch = dict(tokenizer(TEXTS[:3], return_tensors="pt", padding=True))
    single = list(corpus_likelihood._single_examples(batch))
    ids = [tokenizer(text)["input_ids"] for text in TEXTS[:3]]
    assert [example["input_ids"].tolist() for example in single] == [[row] for row in ids]
    assert all((example["attention_mask"] == 1).all() for example in single)
    points = torch.arange(6.0).view(3, 2)
    assert [example["points"].tolist() for example in corpus_likelihood._single_examples({"points": points})] == [
        [[0, 1]], [[2, 3]], [[4, 5]]
    ]  # fmt: skip


def test_points_and_tokenizers_are_told_apart():
    points = np.arange(6.0).reshape(3, 2)
    digests = {corpus_likelihood._data_digest(data, None) for data in (points, points.T, points + 1, points[:2])}
    assert len(digests) == 4 and all(len(digest) == 16 for digest in digests)
    assert corpus_likelihood._data_digest(np.asfortranarray(points), None) in digests
    texts = {
        corpus_likelihood._data_digest(texts, build_tokenizer(words)) for texts in (TEXTS, TEXTS[:1])
        for words in (TEXTS, ["x y"])
    }  # fmt: skip
    assert len(texts) == 4


def test_models_with_contexts_are_refused(tmp_path, tokenizer):
    model = tiny_model("consistent", context_size=3)
    with pytest.raises(ValueError, match="model must be without contexts"):
        write_likelihood(model, TEXTS, tmp_path / "a.json", SETTINGS, tokenizer=tokenizer)
