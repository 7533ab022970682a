import json
import math

import numpy as np
import pytest
from scipy.stats import ncx2

from ldebm_hf.data import (
    NO_LABEL,
    POINT_DISTRIBUTIONS,
    Corpus,
    GaussianGrid,
    Pinwheel,
    PointSplit,
    Split,
    check_corpus,
    load_points,
)
from ldebm_hf.data.splits import hide_labels, hold_out, take_subset

N = 200_000
DISTRIBUTIONS = list(POINT_DISTRIBUTIONS.values())
both = pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda distribution: distribution.name)


def binomial_error(share: float, n: int = N) -> float:
    """Five standard errors of a share that is estimated from `n` draws."""
    return 5 * math.sqrt(share * (1 - share) / n)


@both
def test_samples_are_seeded_and_modes_equally_likely(distribution):
    points, labels = distribution.sample(N, seed=0)
    assert points.shape == (N, 2) and points.dtype == np.float32 and labels.dtype == np.int64
    shares = np.bincount(labels, minlength=distribution.num_modes) / N
    np.testing.assert_allclose(shares, distribution.weights, atol=binomial_error(1 / distribution.num_modes))
    assert distribution.weights.sum() == pytest.approx(1)
    again, other = distribution.sample(N, seed=0), distribution.sample(N, seed=1)
    assert np.array_equal(points, again[0]) and np.array_equal(labels, again[1])
    assert not np.isin(points[:, 0], other[0][:, 0]).all()


def test_gaussian_grid_has_the_published_moments():
    points, labels = GaussianGrid().sample(N, seed=0)
    outer, inner, std = 11.3154, 3.7718, 1.41443
    corners = {0: (-outer, -outer), 1: (-outer, -inner), 7: (-inner, outer), 8: (inner, -outer), 15: (outer, outer)}
    for mode, center in corners.items():
        own = points[labels == mode]
        np.testing.assert_allclose(own.mean(axis=0), center, atol=5 * std / math.sqrt(len(own)))
        np.testing.assert_allclose(own.std(axis=0), std, atol=5 * std / math.sqrt(2 * len(own)))


def test_pinwheel_is_the_published_recipe():
    """Rows of normal features are multiplied from the left of a matrix [[cos, -sin], [sin, cos]], then by 8."""
    normal, arms = np.random.default_rng(0).standard_normal((1000, 2)), np.arange(1000) % 10
    features = normal * [0.3, 0.1] + [1, 0]
    angles = np.linspace(0, 2 * np.pi, 10, endpoint=False)[arms] + 0.25 * np.exp(features[:, 0])
    rotations = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]])
    np.testing.assert_allclose(Pinwheel()._place(normal, arms), 8 * np.einsum("ni,ijn->nj", features, rotations))


def test_pinwheel_moments():
    """The turning keeps lengths: the mean of |x|^2 is 64 (1 + 0.09 + 0.01), with v, w = 0.09, 0.01
    its variance 64^2 (4 v + 2 v^2 + 2 w^2)."""
    points, labels = Pinwheel().sample(N, seed=0)
    squares = np.square(points.astype(np.float64)).sum(axis=1)
    variance = 64**2 * (4 * 0.09 + 2 * 0.09**2 + 2 * 0.01**2)
    assert squares.mean() == pytest.approx(64 * 1.1, abs=5 * math.sqrt(variance / N))
    # Ten arms make a tenth of a turn no change.
    turn = np.exp(2j * np.pi / 10 * labels)
    straight = (points[:, 0] + 1j * points[:, 1]) * turn
    means = np.array([straight[labels == arm].mean() for arm in range(10)])
    np.testing.assert_allclose(means, means.mean(), atol=5 * 8 / math.sqrt(N / 10))


@both
def test_log_density_is_that_of_the_samples(distribution):
    axis = np.arange(-36, 36, 0.1) + 0.05
    lattice = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    masses = np.exp(distribution.log_density(lattice)) * 0.01
    assert masses.sum() == pytest.approx(1, abs=1e-4)
    points, _ = distribution.sample(N, seed=0)
    cells = masses.reshape(36, 20, 36, 20).sum(axis=(1, 3))
    edges = np.linspace(-36, 36, 37)
    counts = np.histogram2d(*points.T.astype(np.float64), bins=[edges, edges])[0]
    error = 5 * np.sqrt(cells * N) + 5  # of a Poisson count, with room for rare cells
    assert (np.abs(counts - cells * N) < error).all()


def test_grid_assignment_is_the_label_where_modes_do_not_overlap():
    """A neighbour is nearer beyond half the distance, 2.667 standard deviations: on both sides of the two inner rows,
    on one side of the two outer ones."""
    points, labels = GaussianGrid().sample(N, seed=0)
    beyond = math.erfc(GaussianGrid().centers[4, 0] / -GaussianGrid.std / math.sqrt(2)) / 2
    agreement = (1 - 1.5 * beyond) ** 2
    assert agreement == pytest.approx(0.9886, abs=1e-4)
    # Those off every mode have no mode: at most exp(-8) of them.
    assigned = GaussianGrid().assign(points)
    assert np.mean(assigned == labels) == pytest.approx(agreement, abs=binomial_error(agreement) + math.exp(-8))
    central = np.abs(points - GaussianGrid().centers[labels]).max(axis=1) < 2.6 * GaussianGrid.std
    assert np.array_equal(assigned[central], labels[central])


@pytest.mark.parametrize("num_stds", [1.0, 2.0, 2.6])
def test_share_of_grid_samples_off_every_mode(num_stds):
    """The Rayleigh tail, less what falls into the discs of neighbours: 3 beside and 2.25 across on average."""
    apart = 4 * 2 / 3 / 0.5
    stray = 3 * ncx2.cdf(num_stds**2, 2, apart**2) + 2.25 * ncx2.cdf(num_stds**2, 2, 2 * apart**2)
    expected = math.exp(-(num_stds**2) / 2) - stray
    points, _ = GaussianGrid().sample(N, seed=1)
    share = np.mean(GaussianGrid().assign(points, num_stds) == -1)
    assert share == pytest.approx(expected, abs=binomial_error(expected))


def test_four_standard_deviations_leave_only_the_surroundings_of_the_grid():
    grid = GaussianGrid()
    points, labels = grid.sample(10 * N, seed=2)
    from_own = np.linalg.norm(points - grid.centers[labels], axis=1) / grid.std
    share = math.exp(-8)
    assert np.mean(from_own > 4) == pytest.approx(share, abs=binomial_error(share, 10 * N))
    off = grid.assign(points) == -1
    assert off.any() and (from_own[off] > 4).all() and (np.abs(points[off]).max(axis=1) > 11.3).all()
    between = np.stack(np.meshgrid(*[np.linspace(-11.3, 11.3, 101)] * 2), axis=-1).reshape(-1, 2)
    assert (grid.assign(between) >= 0).all() and (grid.assign(between, num_stds=2.5) == -1).any()
    corner = np.array([11.3154, 11.3154])
    inside, outside = corner + [0, 3.99 * grid.std], corner + [0, 4.01 * grid.std]
    assert grid.assign(np.stack([inside, outside])).tolist() == [15, -1]


def test_pinwheel_assignment_undoes_the_turning():
    """Whatever lies within 4 standard deviations of its arm is brought back to where it came from."""
    rng = np.random.default_rng(0)
    normal = rng.standard_normal((50_000, 2)) * 1.5
    normal = normal[np.linalg.norm(normal, axis=1) < 4]
    arms = rng.integers(10, size=len(normal))
    points = Pinwheel()._place(normal, arms)
    found = np.concatenate([chunk for chunk, _ in Pinwheel()._arm_coordinates(points)])
    np.testing.assert_allclose(found[np.arange(len(arms)), arms], normal, atol=1e-9)
    assert (Pinwheel().assign(points) >= 0).all()


def test_pinwheel_assignment_is_the_label_but_near_the_origin():
    """At r the next arm is pi r / 10 away, half of it 3.1 r tangential deviations: arms meet at small r, so that 98 %
    of all points, and 99.8 % of those beyond the mean radius, are nearest to their own arm."""
    points, labels = Pinwheel().sample(N, seed=0)
    right = Pinwheel().assign(points) == labels
    assert right.mean() == pytest.approx(0.98, abs=0.002)
    outer = np.linalg.norm(points, axis=1) > 8
    assert 0.998 < right[outer].mean()
    # The Rayleigh tail bounds the share off every arm, since other arms lie in part of it.
    off = np.mean(Pinwheel().assign(points) == -1)
    assert 0 < off < math.exp(-8) + binomial_error(math.exp(-8))


def test_pinwheel_gaps_are_off_every_arm():
    pinwheel = Pinwheel()
    # Halfway between the arms at r = 1.6, where they are ten tangential deviations apart.
    centers = pinwheel._place(np.repeat([[2.0, 0.0]], 10, axis=0), np.arange(10))
    assert pinwheel.assign(centers).tolist() == list(range(10))
    gaps = pinwheel._place(np.repeat([[2.0, 0.0]], 10, axis=0), np.arange(10) + 0.5)
    assert (pinwheel.assign(gaps) == -1).all()


@both
def test_far_and_broken_points_are_off_every_mode(distribution):
    strange = np.array([[100, 0], [1e30, -1e30], [np.nan, 0], [np.inf, 1]])
    assert distribution.assign(strange).tolist() == [-1] * 4
    assert distribution.assign(np.zeros((0, 2))).shape == (0,)
    with pytest.raises(ValueError, match=r"points must be of shape \(n, 2\), got \(4, 3\)"):
        distribution.assign(np.zeros((4, 3)))


@both
def test_built_in_corpus(distribution):
    corpus = load_points(distribution.name, num_points=2000, validation_fraction=0.2, seed=5)
    assert corpus.name == distribution.name and len(corpus.train) == 2000 and len(corpus.validation) == 400
    assert corpus.label_names == [f"mode {i}" for i in range(distribution.num_modes)]
    assert (distribution.assign(corpus.train.points) == corpus.train.labels).mean() > 0.9
    assert len(corpus.notes) == 1 and "2,000 training and 400 validation points" in corpus.notes[0]
    assert corpus == load_points(distribution.name, num_points=2000, validation_fraction=0.2, seed=5)
    assert corpus != load_points(distribution.name, num_points=2000, validation_fraction=0.2, seed=6)
    own = distribution.sample(2000, seed=5)[0]
    everything = np.concatenate([corpus.train.points, corpus.validation.points, own])
    assert len(np.unique(everything, axis=0)) == len(everything), "drawn independently"
    check_corpus(corpus, num_symbols=distribution.num_modes)


def test_built_in_corpus_without_training_labels():
    corpus = load_points("gaussians", num_points=500, label_fraction=0, max_train_examples=300)
    assert len(corpus.train) == 300 and corpus.train.num_labelled == 0 and corpus.train.classes == set()
    assert corpus.validation.num_labelled == len(corpus.validation) == 50
    check_corpus(corpus, num_symbols=16)


ROWS = [(i / 4, -i / 8, ["a", "b", None][i % 3]) for i in range(30)]


def as_text(rows, delimiter=",", header=("east", "north", "kind")):
    rows = [header, *rows] if header else rows
    return "".join(delimiter.join("" if cell is None else str(cell) for cell in row) + "\n" for row in rows)


def everything(corpus):
    names = [*corpus.label_names, None]
    return sorted(
        (float(x), float(y), names[-1 if label == NO_LABEL else label])
        for split in corpus.splits.values()
        for (x, y), label in zip(split.points, split.labels, strict=True)
    )


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_every_table_format_gives_the_same_corpus(write, tmp_path, kind):
    match kind:
        case "csv":
            path = write("rows.csv", as_text(ROWS))
        case "tsv":
            path = write("rows.tsv", as_text(ROWS, "\t"))
        case "jsonl":
            lines = [json.dumps({"east": x, "north": y, "kind": label}) for x, y, label in ROWS]
            path = write("rows.jsonl", "\n\n".join(lines))
        case "parquet":
            pyarrow = pytest.importorskip("pyarrow")
            pytest.importorskip("pyarrow.parquet")
            path = tmp_path / "rows.parquet"
            columns = dict(zip(("east", "north", "kind"), map(list, zip(*ROWS, strict=True)), strict=True))
            pyarrow.parquet.write_table(pyarrow.table(columns), path)
    corpus = load_points(path, label_column="kind", validation_fraction=0.2)
    assert corpus.name == "rows" and corpus.label_names == ["a", "b"]
    assert everything(corpus) == sorted(ROWS, key=lambda row: row[:2])
    assert len(corpus.train) == 24 and len(corpus.validation) == 6
    assert corpus.notes == [f"validation: 6 points held out of {path.name} with seed 0"]
    swapped = load_points(path, point_columns="north, east", label_column="kind", validation_fraction=0.2)
    assert np.array_equal(swapped.train.points, corpus.train.points[:, ::-1])
    check_corpus(corpus, num_symbols=2)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", "1,1\n2,3\n4,5\n"), ("a.tsv", "1\t1\n2\t3\n4\t5\n"), ("a.txt", " 1  1\n\n2\t3\n4 5")],
)
def test_files_without_a_header(write, name, content):
    corpus = load_points(write(name, content))
    assert everything(corpus) == [(1, 1, None), (2, 3, None), (4, 5, None)] and corpus.label_names == []
    noted = [note for note in corpus.notes if "no header" in note]
    assert len(noted) == (0 if name == "a.txt" else 1)


def test_numeric_columns_are_found_among_others(write):
    content = "id,x,name,y,kind\n" + "".join(f"p{i},{i},n,{i * i},{i % 2}\n" for i in range(10))
    corpus = load_points(write("a.csv", content), label_column="kind")
    assert everything(corpus) == [(i, i * i, str(i % 2)) for i in range(10)]


def test_rows_with_missing_values_are_dropped_with_their_labels(write):
    content = "x,y,kind\n1,2,a\n,2,b\n3,4,b\n5\n\n6,7,a\n"
    corpus = load_points(write("a.csv", content), label_column="kind")
    assert everything(corpus) == [(1, 2, "a"), (3, 4, "b"), (6, 7, "a")]
    assert corpus.notes[0] == "a.csv: 3 rows without both numbers dropped"


def test_validation_file(write, tmp_path):
    write("train.csv", as_text(ROWS))
    write("dev.csv", as_text([(1, 2, "c"), (3, 4, None)]))
    write("plain.txt", "1 2\n")
    corpus = load_points("train.csv", data_dir=tmp_path, label_column="kind", validation_file="dev.csv")
    assert corpus.label_names == ["a", "b", "c"] and len(corpus.train) == 30
    assert corpus.validation == PointSplit([[1, 2], [3, 4]], [2, NO_LABEL])
    assert corpus.notes == ["train: no labelled point of the class 'c'"]
    with pytest.raises(ValueError, match="validation_file is the training file itself"):
        load_points("train.csv", data_dir=tmp_path, label_column="kind", validation_file="train.csv")
    with pytest.raises(ValueError, match="plain.txt has no column 'east' .point_columns.; columns .*: 'x', 'y'"):
        load_points("train.csv", data_dir=tmp_path, label_column="kind", validation_file="plain.txt")


def test_validation_file_without_labels(write):
    train, dev = write("train.csv", as_text(ROWS)), write("dev.csv", "east,north\n1,2\n")
    corpus = load_points(train, label_column="kind", validation_file=dev)
    assert corpus.notes == ["dev.csv: no column 'kind', so its 1 points are unlabelled"]


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("a.csv", "x,y\n1,2\n\n3,oops\n", {}, "a.csv, line 4: column 'y' must hold finite numbers .*found 'oops'"),
        ("a.csv", "x,y\n1,nan\n3,4\n", {}, "a.csv, line 2: column 'y' .*found 'nan'"),
        ("a.csv", "x,y\n1,2\n-inf,4\n", {}, "a.csv, line 3: column 'x' .*found '-inf'"),
        ("a.csv", "1,2\n3,4e38\n", {}, "a.csv, line 2: column 'y' .*found '4e38'"),
        ("a.jsonl", '{"x": 1, "y": 2}\n\n{"x": true, "y": 2}\n', {}, "a.jsonl, line 3: column 'x' .*found True"),
        ("a.txt", "1 2\n\n1 2 3\n", {}, "a.txt, line 3: expected two numbers, found '1 2 3'"),
        ("a.txt", "1 2\nx y\n", {}, "a.txt, line 2: column 'x' must hold finite numbers .*found 'x'"),
        ("a.csv", "x,y,z\n1,2,3\n", {}, "3 columns of numbers besides the label .'x', 'y', 'z'., .*point_columns"),
        ("a.csv", "x\n1\n", {}, "1 columns of numbers besides the label .'x'.,"),
        ("a.csv", "", {}, "0 columns of numbers besides the label .none.*none, it is empty"),
        ("a.csv", "x,y,z\n1,2,3\n", {"point_columns": "x,w"}, "no column 'w' .point_columns.; .*'x', 'y', 'z'"),
        ("a.csv", "x,y\n1,2\n", {"label_column": "kind"}, "no column 'kind' .label_column.; .*'x', 'y'"),
        ("a.csv", "x,y,k\n1,2,\n", {"label_column": "k"}, "column 'k' of a.csv holds no label at all"),
        ("a.csv", "x,y\n,2\n", {}, "a.csv holds no point: it is empty, or none of its 1 rows has both"),
        ("a.csv", "x,y\n1,2\n", {}, "split of 1 point cannot be divided: give validation_file, or more points"),
        ("a.csv", "x,y\n1,2\n3,4\n", {"point_columns": "x"}, "point_columns must name two different .*got 'x'"),
        ("a.csv", "x,y\n1,2\n3,4\n", {"point_columns": "x,x"}, "point_columns must name two different .*got 'x,x'"),
        ("a.csv", "x,y\n1,2\n3,4\n", {"validation_fraction": 1}, "validation_fraction must be .*got 1"),
    ],
)
def test_malformed_files_are_refused(write, name, content, options, message):
    with pytest.raises(ValueError, match=message):
        load_points(write(name, content), **options)


def test_bad_parquet_value_is_named_by_its_row(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"x": [1.0, math.inf], "y": [1.0, 2.0]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="a.parquet, row 2: column 'x' .*found inf"):
        load_points(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("circles", {}, "unknown source of points 'circles': use 'gaussians', 'pinwheel', a path"),
        ("gaussians", {"validation_file": "a.csv"}, "validation_file='a.csv' .*'gaussians': .* of files of points"),
        ("pinwheel", {"label_column": "k"}, "label_column='k' cannot be used with"),
        ("pinwheel", {"point_columns": "x,y"}, "point_columns='x,y' cannot be used with"),
        ("gaussians", {"num_points": 0}, "num_points must be at least 1, got 0"),
        ("gaussians", {"validation_fraction": 0}, "validation_fraction must be between 0 and 1 .*got 0"),
        ("gaussians", {"label_fraction": 2}, "label_fraction must be between 0 and 1, got 2"),
        ("gaussians", {"max_train_examples": 0}, "max_train_examples must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range(source, options, message):
    with pytest.raises(ValueError, match=message):
        load_points(source, **{"num_points": 10} | options)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"looked for {tmp_path}/absent.csv"):
        load_points("absent.csv", data_dir=tmp_path)


def numbered(labels) -> PointSplit:
    return PointSplit(np.stack([np.arange(len(labels)), -np.arange(len(labels))], axis=1), labels)


def test_point_split():
    split = numbered([1, NO_LABEL, 0])
    assert split.points.dtype == np.float32 and split.labels.dtype == np.int64 and len(split) == 3
    assert split.classes == {0, 1} and split.num_labelled == 2
    assert split.select([2, 1]) == PointSplit([[2, -2], [1, -1]], [0, NO_LABEL]) != split
    assert len(split.select(i for i in ())) == 0
    unlabelled = PointSplit.unlabelled(split.points)
    assert unlabelled.classes == set() and unlabelled.num_labelled == 0 and unlabelled != split


@pytest.mark.parametrize(
    ("points", "labels", "message"),
    [
        (np.zeros((2, 3)), [0, 0], r"shape \(n, 2\), got \(2, 3\)"),
        (np.zeros((2, 2)), [0], "2 points needs as many labels"),
        ([[0, math.nan]], [0], "points must be finite"),
    ],
)
def test_point_split_refuses(points, labels, message):
    with pytest.raises(ValueError, match=message):
        PointSplit(points, labels)


def test_choices_over_points_are_those_over_texts():
    """The same indices are chosen as in a split of texts with the same labels."""
    labels = [0] * 50 + [1] * 30 + [NO_LABEL] * 20
    points, texts = numbered(labels), Split([str(i) for i in range(100)], labels)
    for choose in (
        lambda split: hold_out(split, 0.2, 3)[0],
        lambda split: hold_out(split, 0.2, 3)[1],
        lambda split: take_subset(split, 20, 3),
        lambda split: hide_labels(split, 0.25, 3),
    ):
        chosen_points, chosen_texts = choose(points), choose(texts)
        assert [str(int(x)) for x in chosen_points.points[:, 0]] == chosen_texts.texts
        assert chosen_points.labels.tolist() == chosen_texts.labels
        assert type(chosen_points) is PointSplit and type(chosen_texts) is Split


def test_choices_over_texts_have_not_changed():
    """What seed 3 chose of these texts before there were points."""
    split = Split([str(i) for i in range(12)], [0] * 6 + [1] * 4 + [NO_LABEL] * 2)
    assert hold_out(split, 0.25, 3)[1].texts == ["0", "1", "7"]
    assert take_subset(split, 4, 3).texts == ["1", "6", "7", "11"]
    assert [i for i, label in enumerate(hide_labels(split, 0.5, 3).labels) if label != NO_LABEL] == [2, 5, 6, 8, 9]


def test_check_corpus_speaks_of_points():
    few = Corpus("mine", numbered([0]), numbered([0]), label_names=["a"])
    with pytest.raises(ValueError, match="1 training points, fewer than num_symbols=3: .* or add points"):
        check_corpus(few, num_symbols=3)
    with pytest.raises(ValueError, match="every labelled training point .* class 'a'"):
        check_corpus(few, num_symbols=1)
    with pytest.raises(ValueError, match="has no train points"):
        check_corpus(Corpus("mine", numbered([]).select([]), numbered([0])), num_symbols=1)


def test_dataset_dict_of_points():
    built = Corpus("mine", numbered([1, NO_LABEL]), numbered([0]), label_names=["a", "b"]).to_dataset_dict()
    assert built["train"].column_names == ["x", "y", "label"] and built["train"].features["x"].dtype == "float32"
    assert built["train"][:] == {"x": [0, 1], "y": [0, -1], "label": [1, None]}
    assert Corpus("mine", numbered([0]), numbered([0])).to_dataset_dict()["train"].column_names == ["x", "y"]
