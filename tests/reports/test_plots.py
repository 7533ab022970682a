"""Figures of a run, and of models side by side."""

import json
import sys

import numpy as np
import pytest

from ldebm_hf.data import POINT_DISTRIBUTIONS
from ldebm_hf.reports import plots
from ldebm_hf.reports.plots import plot_densities, plot_evolution, plot_symbols, plot_tradeoff, plot_validation_curves
from ldebm_hf.scores import PointSamples


@pytest.fixture
def metrics(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [
        {"step": 5 * epoch, "epoch": epoch, "split": split, "values": {"loss": 1 / epoch, "symbol_accuracy": 0.5}}
        for epoch in (1, 2, 3)
        for split in ("train", "validation")
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_validation_curves_are_drawn(metrics, tmp_path):
    pytest.importorskip("matplotlib")
    assert plot_validation_curves(metrics, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_drawn_before_the_first_validation_or_without_matplotlib(metrics, tmp_path, monkeypatch):
    (tmp_path / "empty.jsonl").write_text("")
    assert not plot_validation_curves(tmp_path / "empty.jsonl", tmp_path / "curves.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert not plot_validation_curves(metrics, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def samples_of(name: str, has_symbols: bool = True, of_codes: bool = False) -> PointSamples:
    """Samples of a model whose prior is a single Gaussian."""
    rng = np.random.default_rng(0)
    points, labels = POINT_DISTRIBUTIONS[name].sample(4000, 0)
    latents = np.eye(16)[labels] if of_codes else points / 10
    normal = rng.normal(size=points.shape)
    symbols = labels if has_symbols else None
    return PointSamples(points, points, points, 9 * normal, latents, normal, 0 if of_codes else 2, labels, symbols)


def pixels(path) -> np.ndarray:
    """A PNG's colours, `(height, width, 3)`, from a file that must be small."""
    image = pytest.importorskip("PIL.Image")
    assert path.stat().st_size < 200_000
    with image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


@pytest.fixture
def models() -> dict[str, PointSamples]:
    pytest.importorskip("matplotlib")
    return {
        "ldebm": samples_of("gaussians"),
        "vae": samples_of("gaussians", has_symbols=False),
        "discrete_vae": samples_of("gaussians", of_codes=True),
    }


def test_densities_have_a_panel_per_model_and_column(models, tmp_path):
    plot_densities(models, tmp_path / "new" / "densities.png")
    image = pixels(tmp_path / "new" / "densities.png")
    # The darkest shade of the densities, as the grid's gaps have it: in 3 panels of every row, 5 without codes.
    dark = np.abs(image - [68, 1, 84]).sum(-1) < 12
    thirds = [part.sum() for part in np.array_split(dark, 3)]
    assert min(thirds) > 5000 and thirds[2] < 0.85 * min(thirds[:2])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["densities.png"]


def test_symbols_colour_the_points(models, tmp_path):
    plot_symbols(models, tmp_path / "symbols.png")
    image = pixels(tmp_path / "symbols.png")
    grey = (np.ptp(image, axis=-1) < 6) & (np.abs(image.mean(-1) - 153) < 12)
    thirds = [part.sum() for part in np.array_split(grey, 3)]
    assert thirds[1] > 3 * thirds[0] and thirds[1] > 3 * thirds[2], "only the row without symbols has grey points"


@pytest.mark.slow
def test_many_models_and_stray_samples_still_make_a_small_figure(models, tmp_path):
    stray = samples_of("pinwheel")
    stray.prior_points[:4] = [[np.nan, 0], [np.inf, 1], [1e30, 0], [0, -1e30]]
    stray.prior_latents[:] = 0
    many = {f"ldebm_without_something_{number}": stray for number in range(16)}
    for plot in (plot_densities, plot_symbols):
        plot(many, tmp_path / "figure.png")
        height, width, _ = pixels(tmp_path / "figure.png").shape
        assert height > 2 * width


def test_evolution_is_drawn_with_gaps(tmp_path):
    pytest.importorskip("matplotlib")
    curves = {
        "ldebm": {"KL": ([1, 2], [3.0, 2.0]), "modes covered": ([1, 2], [3, 16])},
        "ae": {"modes covered": ([1, 2], [4, 4])},
        "none": {},
    }
    plot_evolution(curves, tmp_path / "evolution.png")
    image = pixels(tmp_path / "evolution.png")
    for color, least in (([31, 119, 180], 100), ([255, 127, 14], 30)):
        assert (np.abs(image - color).sum(-1) < 60).sum() > least
    plot_evolution({}, tmp_path / "empty.png")
    assert (tmp_path / "empty.png").exists()


def test_tradeoff_has_a_panel_for_every_score_that_there_is(tmp_path):
    pytest.importorskip("matplotlib")

    def point(bleu, perplexity):
        return {"0": {"bleu": bleu, "reverse_perplexity": perplexity, "word_kl_smoothed": 0.2}}

    curves = {"LDEBM": {"0.1": point(12, 300), "1": point(3, 200)}, "masked": {"0.1": point(14, 400)}}
    real = {"real": {"real": {"reverse_perplexity": 100, "word_kl_smoothed": 0.1}}}
    darkness = []
    for texts in ({}, real):
        plot_tradeoff(curves, texts, tmp_path / "curve.png", "kl_weight")
        image = pixels(tmp_path / "curve.png")
        assert image.shape[1] > 2 * image.shape[0], "two panels"
        halves = np.array_split(image, 2, axis=1)
        assert all((np.abs(half - [31, 119, 180]).sum(-1) < 60).sum() > 50 for half in halves), "a curve in each"
        darkness.append([(half.sum(-1) < 60).sum() for half in halves])
    assert all(line > none for none, line in zip(*darkness, strict=True)), "a dotted line of real texts in each"


@pytest.mark.parametrize(("worst", "scale"), [(9_000, "linear"), (11_000, "log")])
def test_scores_that_differ_a_hundredfold_have_a_logarithmic_scale(tmp_path, monkeypatch, worst, scale):
    pytest.importorskip("matplotlib")
    scales = []
    monkeypatch.setattr(plots, "_save_small", lambda page, *_, **__: scales.extend(a.get_xscale() for a in page.axes))
    points = {str(bleu): {"0": {"bleu": bleu, "reverse_perplexity": value}} for bleu, value in ((9, 100), (1, worst))}
    plot_tradeoff({"LDEBM": points}, {}, tmp_path / "curve.png", "kl_weight")
    assert scales == [scale]
