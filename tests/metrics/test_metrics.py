"""Every metric class: the same numbers as its score, in one call, in batches, and loaded from its file."""

import sys
from pathlib import Path
from types import SimpleNamespace

import evaluate
import numpy as np
import pytest

from ldebm_hf import metrics
from ldebm_hf.scores import (
    WordVectors,
    forward_perplexity,
    response_retrieval,
    reverse_perplexity,
    self_bleu,
    symbol_scores,
    word_divergence,
)
from ldebm_hf.scores import batched_homogeneity as score_batches
from ldebm_hf.scores.judging import Judge
from ldebm_hf.scores.lstm_language_model import LanguageModelSettings

FILES = {
    "BLEU": "corpus_bleu",
    "Acceptability": "acceptability",
    "AdjustedRand": "adjusted_rand",
    "AttributeAccuracy": "attribute_accuracy",
    "BatchedHomogeneity": "batched_homogeneity",
    "Completeness": "completeness",
    "CopiedShare": "copied_share",
    "DistinctN": "distinct_n",
    "EmbeddingAverage": "embedding_average",
    "EmbeddingExtrema": "embedding_extrema",
    "EmbeddingGreedy": "embedding_greedy",
    "ForwardPerplexity": "forward_perplexity",
    "Homogeneity": "homogeneity",
    "MutualInformation": "mutual_information",
    "NormalizedMutualInformation": "normalized_mutual_information",
    "ResponseRetrieval": "response_retrieval",
    "ReversePerplexity": "reverse_perplexity",
    "SelfBLEU": "self_bleu",
    "SymbolUsage": "symbol_usage",
    "VMeasure": "v_measure",
    "WordKL": "word_kl",
}
RNG = np.random.default_rng(0)
CLASSES = RNG.integers(5, size=300)
SYMBOLS = np.where(RNG.random(300) < 0.5, CLASSES, RNG.integers(20, size=300))
TEXTS = ["a b c d e", "a b c", "", "e d c b a e", "a b c d d"]
VECTORS = WordVectors({word: row for row, word in enumerate("abcde")}, RNG.standard_normal((5, 4)).astype(np.float32))
RESPONSES = ({"predictions": TEXTS, "references": TEXTS[::-1]}, {"vectors": VECTORS})


class LengthJudge(Judge):
    """Finds texts of at least five words acceptable."""

    label_names = ["corrupted", "acceptable"]

    def __init__(self):
        pass

    def predict(self, texts, batch_size=256):
        return np.array([int(len(text.split()) >= 5) for text in texts])


TINY_LANGUAGE_MODEL = {"embedding_size": 4, "hidden_size": 4, "num_layers": 1, "num_epochs": 1}
INPUTS = {
    "Acceptability": (
        {"predictions": TEXTS},
        {"judge": LengthJudge(), "real_texts": ["a b c d e", "a"], "corrupted_texts": ["a b", "c", "e d c b a", "d"]},
    ),
    "BLEU": ({"predictions": TEXTS, "references": TEXTS[::-1]}, {}),
    "AttributeAccuracy": ({"predictions": CLASSES, "references": SYMBOLS % 5}, {"label_names": list("vwxyz")}),
    "BatchedHomogeneity": ({"predictions": SYMBOLS, "references": CLASSES}, {"batch_size": 40, "drop_last": False}),
    "CopiedShare": ({"predictions": TEXTS}, {"training_texts": ["a b  c"]}),
    "EmbeddingAverage": RESPONSES,
    "EmbeddingExtrema": RESPONSES,
    "EmbeddingGreedy": RESPONSES,
    "DistinctN": ({"predictions": TEXTS}, {"orders": (1, 3)}),
    "ForwardPerplexity": ({"predictions": TEXTS}, {"training_texts": TEXTS[::-1], **TINY_LANGUAGE_MODEL}),
    "MutualInformation": ({"predictions": RNG.dirichlet(np.ones(4), size=30)}, {}),
    "ResponseRetrieval": RESPONSES,
    "ReversePerplexity": ({"predictions": TEXTS}, {"real_texts": ["b f"], "seed": 3, **TINY_LANGUAGE_MODEL}),
    "SelfBLEU": ({"predictions": TEXTS}, {"max_texts": 3, "seed": 1}),
    "SymbolUsage": ({"predictions": SYMBOLS}, {"num_symbols": 25}),
    "WordKL": ({"predictions": TEXTS}, {"training_texts": ["a b c"]}),
}
SYMBOL_INPUTS = ({"predictions": SYMBOLS, "references": CLASSES}, {"num_permutations": 4, "seed": 2})


def computed(name: str, metric: evaluate.Metric) -> dict[str, float]:
    inputs, settings = INPUTS.get(name, SYMBOL_INPUTS)
    return metric.compute(**inputs, **settings)


@pytest.fixture
def new_metric(tmp_path):
    return lambda name: getattr(metrics, name)(cache_dir=str(tmp_path))


@pytest.fixture(scope="module")
def modules_of_evaluate(tmp_path_factory):
    """A temporary folder where `evaluate.load` puts its copies of files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        patch.setattr(evaluate.config, "HF_MODULES_CACHE", str(tmp_path_factory.mktemp("modules")))
        yield
        for name in [name for name in sys.modules if name.startswith("evaluate_modules")]:
            del sys.modules[name]


def test_every_metric_is_tested():
    assert set(FILES) == set(metrics.__all__)
    there = {path.stem for path in Path(metrics.__file__).parent.glob("*.py")} - {"__init__", "base"}
    assert there == set(FILES.values())


@pytest.mark.parametrize("name", FILES)
def test_batches_give_what_one_call_gives(name, new_metric):
    scores = computed(name, new_metric(name))
    assert scores and all(type(value) is float for value in scores.values()), scores
    inputs, settings = INPUTS.get(name, SYMBOL_INPUTS)
    metric = new_metric(name)
    for part in (slice(0, 2), slice(2, None)):
        metric.add_batch(**{column: values[part] for column, values in inputs.items()})
    assert metric.compute(**settings) == scores
    assert metric.description and "Args:" in metric.inputs_description and "Returns:" in metric.inputs_description


@pytest.mark.parametrize(("name", "score"), [("VMeasure", "v_measure"), ("EmbeddingGreedy", "greedy")])
def test_shared_descriptions_name_the_score(name, score, new_metric):
    assert f"`{score}`" in new_metric(name).inputs_description
    assert f"`{score}_chance`" in new_metric(name).inputs_description


@pytest.mark.parametrize("name", FILES)
def test_evaluate_loads_the_file(name, new_metric, tmp_path, modules_of_evaluate):
    path = Path(metrics.__file__).parent / f"{FILES[name]}.py"
    loaded = evaluate.load(str(path), cache_dir=str(tmp_path))
    assert type(loaded).__name__ == name
    assert computed(name, loaded) == computed(name, new_metric(name))


@pytest.mark.parametrize(
    "name, score",
    [
        ("Homogeneity", "homogeneity"),
        ("Completeness", "completeness"),
        ("VMeasure", "v_measure"),
        ("AdjustedRand", "adjusted_rand"),
        ("NormalizedMutualInformation", "normalized_mutual_information"),
    ],
)
def test_symbol_metrics_are_fields_of_the_symbol_scores(name, score, new_metric):
    expected = vars(symbol_scores(SYMBOLS, CLASSES, num_permutations=4, seed=2))
    names = [score, f"{score}_chance", f"{score}_chance_std"]
    assert computed(name, new_metric(name)) == {name: expected[name] for name in names}
    assert expected[score] > expected[names[1]] + 3 * expected[names[2]]


def test_values_of_the_others(new_metric):
    assert computed("BatchedHomogeneity", new_metric("BatchedHomogeneity")) == vars(
        score_batches(SYMBOLS, CLASSES, batch_size=40, drop_last=False)
    )
    assert computed("Acceptability", new_metric("Acceptability")) == {
        "acceptability": 0.6,
        "acceptability_std_error": pytest.approx((0.6 * 0.4 / 5) ** 0.5),
        "acceptability_real": 0.5,
        "acceptability_chance": 0.25,
    }
    assert computed("SelfBLEU", new_metric("SelfBLEU")) == {
        "self_bleu": self_bleu(TEXTS, max_texts=3, seed=1),
        "empty_share": 0.2,
    }
    assert computed("DistinctN", new_metric("DistinctN")) == {
        "distinct_1": 5 / 19,
        "distinct_3": 8 / 11,
        "empty_share": 0.2,
    }
    copied = {"copied_share": 0.2, "distinct_share": 1.0, "empty_share": 0.2}
    assert computed("CopiedShare", new_metric("CopiedShare")) == copied
    usage = new_metric("SymbolUsage").compute(predictions=[0, 0, 2, 2], num_symbols=5)
    assert usage == pytest.approx(
        {"usage_entropy": np.log(2), "usage_perplexity": 2, "symbols_used": 2, "dead_symbols": 3}
    )
    accuracy = new_metric("AttributeAccuracy").compute(predictions=[0, 1, 1], references=[0, 0, 1])
    assert (accuracy["accuracy"], accuracy["accuracy_0"], accuracy["accuracy_1"]) == (2 / 3, 0.5, 1)
    information = new_metric("MutualInformation").compute(predictions=np.eye(3))
    assert information["mutual_information"] == pytest.approx(np.log(3))
    retrieval = vars(response_retrieval(TEXTS, TEXTS[::-1], VECTORS))
    assert computed("ResponseRetrieval", new_metric("ResponseRetrieval")) == retrieval
    bleu = new_metric("BLEU").compute(predictions=["a b c d e"], references=["a b c d e"])
    assert bleu == pytest.approx({"bleu": 100, "empty_share": 0})


def test_perplexities_of_samples(new_metric):
    settings = LanguageModelSettings(**TINY_LANGUAGE_MODEL)
    reverse, forward = (computed(name, new_metric(name)) for name in ("ReversePerplexity", "ForwardPerplexity"))
    assert reverse["reverse_perplexity"] == reverse_perplexity(TEXTS, ["b f"], settings, seed=3).perplexity
    assert forward["forward_perplexity"] == forward_perplexity(TEXTS, TEXTS[::-1], settings).perplexity
    assert reverse["unknown_share"] == forward["unknown_share"] == 0
    assert new_metric("ReversePerplexity").compute(
        predictions=TEXTS, real_texts=["b f"], vocabulary=["b"], **TINY_LANGUAGE_MODEL
    )["unknown_share"] == pytest.approx(1 / 3)
    assert computed("WordKL", new_metric("WordKL")) == vars(word_divergence(TEXTS, ["a b c"]))


NAMES = np.array(["5", "4", "3", "2", "1"])  # where the name "1" is not the id 1


@pytest.mark.parametrize("metric", ["Homogeneity", "AdjustedRand", "BatchedHomogeneity"])
def test_labels_by_name_score_as_by_id(metric, new_metric):
    options = {"batch_size": 40} if metric == "BatchedHomogeneity" else {"num_permutations": 4}
    by_id = new_metric(metric).compute(predictions=SYMBOLS, references=CLASSES, **options)
    symbol_names = [f"symbol {symbol}" for symbol in SYMBOLS]
    for predictions in (SYMBOLS, symbol_names):
        for references in (CLASSES, NAMES[CLASSES], NAMES[CLASSES].tolist()):
            scores = new_metric(metric).compute(predictions=predictions, references=references, **options)
            assert scores == pytest.approx(by_id)


def test_names_that_are_numbers_are_never_taken_for_ids(new_metric):
    options = {"label_names": NAMES.tolist()}
    by_id = new_metric("AttributeAccuracy").compute(predictions=CLASSES, references=SYMBOLS % 5, **options)
    for predictions in (CLASSES, NAMES[CLASSES]):
        for references in (SYMBOLS % 5, NAMES[SYMBOLS % 5]):
            scores = new_metric("AttributeAccuracy").compute(predictions=predictions, references=references, **options)
            assert scores == by_id
    by_name = new_metric("AttributeAccuracy").compute(predictions=NAMES[CLASSES], references=NAMES[SYMBOLS % 5])
    assert by_name == by_id
    with pytest.raises(ValueError, match="must both be ids or both be names unless label_names are given"):
        new_metric("AttributeAccuracy").compute(predictions=NAMES[CLASSES], references=SYMBOLS % 5)
    with pytest.raises(ValueError, match="references must be among label_names=.*, got '9'"):
        new_metric("AttributeAccuracy").compute(predictions=[0], references=["9"], **options)


def test_usage_counts_names(new_metric):
    by_name = new_metric("SymbolUsage").compute(predictions=["1", "1", "7", "7"], num_symbols=5)
    assert by_name == new_metric("SymbolUsage").compute(predictions=[0, 0, 2, 2], num_symbols=5)
    with pytest.raises(ValueError, match="at most num_symbols=1 names, got 2"):
        new_metric("SymbolUsage").compute(predictions=["a", "b"], num_symbols=1)


def test_scores_take_columns_and_leave_out_unknown_names():
    pandas = pytest.importorskip("pandas")
    references = pandas.Series(["a", None, "b", "a"])
    known = symbol_scores([0, 1, 0], ["a", "b", "a"], 2)
    assert symbol_scores(pandas.Series([0, 5, 1, 0]), references, 2) == known
    for wrong in ([0.5, 1.0], ["a", 1], [True, False]):
        with pytest.raises(ValueError, match="classes must be ids .integers. or names .strings., all of them alike"):
            symbol_scores([0, 1], wrong, 2)


def test_errors_of_the_scores_reach_the_caller(new_metric):
    with pytest.raises(ValueError, match="symbols must be one or more of 0 to 1"):
        new_metric("SymbolUsage").compute(predictions=[0, 4], num_symbols=2)
    with pytest.raises(ValueError, match="probabilities must be rows of numbers, all of one length, got lengths 1, 2"):
        new_metric("MutualInformation").compute(predictions=[[0.5, 0.5], [1.0]])
    with pytest.raises(ValueError, match="label_names must not repeat the key 'accuracy_chance', got 'chance'"):
        new_metric("AttributeAccuracy").compute(predictions=[0], references=[0], label_names=["chance"])
    with pytest.raises(ValueError, match="known for some"):
        new_metric("VMeasure").compute(predictions=[0, 1], references=[-100, -100])


def test_vectors_of_gensim(new_metric):
    """An object with `key_to_index` and `vectors`, as gensim's KeyedVectors has them."""
    keyed = SimpleNamespace(key_to_index=VECTORS.words, vectors=VECTORS.vectors)
    for name in ("EmbeddingGreedy", "ResponseRetrieval"):
        metric, inputs = new_metric(name), RESPONSES[0]
        assert metric.compute(**inputs, vectors=keyed) == metric.compute(**inputs, vectors=VECTORS)
        with pytest.raises(ValueError, match="either vectors or training_texts must be given, got neither"):
            metric.compute(**inputs)
