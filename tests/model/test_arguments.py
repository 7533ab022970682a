"""Lists, arrays of any integers and columns are taken wherever a model takes token ids; anything else is refused."""

import inspect
import math
import pickle

import numpy as np
import pytest
import torch
from tiny_models import tiny_model

from ldebm_hf import LDEBMModel
from ldebm_hf.likelihood.bounds import importance_weighted_bound
from ldebm_hf.likelihood.published_estimator import published_log_likelihood
from ldebm_hf.model.arguments import LATENTS, Lengths, Seed, Texts, TokenIds, TurnLengths, as_ids, as_mask, checked
from ldebm_hf.model.text_classifier import TextClassifier, TextClassifierConfig
from ldebm_hf.model.validation import Choice, Count, Flag, Number

IDS = [[2, 4, 5, 3], [2, 6, 3, 0]]
MASK = [[1, 1, 1, 1], [1, 1, 1, 0]]
FORMS = {
    "list": lambda rows: rows,
    "list of tensors": lambda rows: [torch.tensor(row) for row in rows],
    "int16": lambda rows: np.array(rows, np.int16),
    "int32": lambda rows: np.array(rows, np.int32),
    "int64": lambda rows: np.array(rows, np.int64),
    "uint8": lambda rows: np.array(rows, np.uint8),
    "object": lambda rows: np.array(rows, object),
    "reversed": lambda rows: np.array(rows)[:, ::-1][:, ::-1],
    "tensor int32": lambda rows: torch.tensor(rows, dtype=torch.int32),
    "tensor uint8": lambda rows: torch.tensor(rows, dtype=torch.uint8),
}


def classifier():
    torch.manual_seed(0)
    return TextClassifier(TextClassifierConfig(vocab_size=12, embedding_size=4, hidden_size=4)).eval()


READERS = {
    "encode": lambda ids, mask: tiny_model().encode(ids, mask).posterior_mean,
    "infer_symbols": lambda ids, mask: tiny_model().infer_symbols(ids, mask),
    "generate": lambda ids, mask: tiny_model().generate(ids, attention_mask=mask),
    "forward": lambda ids, mask: tiny_model()(ids, mask, class_labels=[0, -100], generator=0).loss,
    "labels": lambda ids, mask: tiny_model()(IDS, MASK, labels=ids, generator=0).loss,
    "decoder_input_ids": lambda ids, mask: (
        tiny_model()(IDS, MASK, labels=IDS, decoder_input_ids=ids, generator=0).loss
    ),
    "bound": lambda ids, mask: importance_weighted_bound(
        tiny_model(prior="gaussian", id2label=None), num_samples=2, input_ids=ids, attention_mask=mask, generator=0
    ),
    "contexts": lambda ids, mask: tiny_model(context_size=4, context_hidden_size=4).sample_latents(
        context_input_ids=[ids] if isinstance(ids, list) else ids[None], generator=0
    ),
    "classifier": lambda ids, mask: classifier()(ids, mask).logits,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_ids_of_every_integer_type_give_the_same(read, form):
    if read is READERS["contexts"]:
        if form is FORMS["list of tensors"]:
            pytest.skip("a context has one more level")
        expected = tiny_model(context_size=4, context_hidden_size=4).sample_latents(
            context_input_ids=torch.tensor([IDS]), generator=0
        )
        assert torch.equal(read(form(IDS), None), expected)
        return
    assert torch.equal(read(form(IDS), form(MASK)), read(torch.tensor(IDS), torch.tensor(MASK)))


@pytest.mark.parametrize("read", [READERS[name] for name in READERS if name != "contexts"])
@pytest.mark.parametrize("ids", [np.array(IDS, float), torch.tensor(IDS).float(), [["a", "b"]], [[None, 2]]], ids=str)
def test_ids_that_are_no_integers_are_refused_by_name(read, ids):
    with pytest.raises(ValueError, match="(input_ids|labels) must be integers, got"):
        read(ids, None)


def test_a_mask_may_be_of_numbers_or_truth_values_but_not_of_strings():
    for mask in (MASK, np.array(MASK, bool), np.array(MASK, float), np.array(MASK, object)):
        assert as_mask("attention_mask", mask).tolist() == [[value != 0 for value in row] for row in MASK]
    with pytest.raises(ValueError, match="attention_mask must be zeros and ones, got strings such as 'x'"):
        as_mask("attention_mask", [["x"]])


@pytest.mark.parametrize(
    ("value", "shown"), [(math.nan, "nan"), (5, "5"), (-5, "-5"), (0.5, "0.5"), (-math.inf, "-inf")], ids=str
)
@pytest.mark.parametrize("form", [list, np.array, torch.tensor], ids=["list", "array", "tensor"])
def test_a_mask_is_of_zeros_and_ones_only(form, value, shown):
    mask = form([[1, 1, 1, 1], [1, 1, value, 0]])
    for call in (tiny_model().encode, classifier()):
        with pytest.raises(ValueError, match=f"attention_mask must be zeros and ones, got {shown}"):
            call(IDS, mask)


def test_rows_of_different_lengths_are_refused_with_advice():
    with pytest.raises(ValueError, match="input_ids must have rows of equal length: pad them on the right"):
        tiny_model().encode([[2, 4, 3], [2, 3]])


def test_a_column_of_lists_is_taken():
    pandas = pytest.importorskip("pandas")
    assert torch.equal(as_ids("input_ids", pandas.Series(IDS)), torch.tensor(IDS))


def test_an_int64_tensor_is_not_copied():
    ids = torch.tensor(IDS)
    assert as_ids("input_ids", ids) is ids


def test_the_published_estimate_takes_arrays():
    model = tiny_model(preset="published")
    single = {"input_ids": np.array(IDS[:1], np.int32), "attention_mask": np.array(MASK[:1])}
    as_tensors = {name: torch.as_tensor(value).long() for name, value in single.items()}
    assert torch.equal(
        published_log_likelihood(model, generator=1, **single),
        published_log_likelihood(model, generator=1, **as_tensors),
    )


# --------------------------------------------------------------------------------------------------------------- rules


@checked(count=Count(at_most=9), scale=Number(at_least=0), extra=Flag())
def documented(model, count=None, scale=1.0, *rest, **options):
    """What it does."""
    return count, scale, rest, options


def test_a_checked_function_keeps_its_signature_and_can_be_pickled():
    assert list(inspect.signature(documented).parameters) == ["model", "count", "scale", "rest", "options"]
    assert documented.__doc__ == "What it does."
    assert pickle.loads(pickle.dumps(documented)) is documented
    assert inspect.signature(LDEBMModel.generate).parameters["latents"].kind is inspect.Parameter.KEYWORD_ONLY


def test_arguments_are_checked_however_they_are_given():
    assert documented(None, np.int64(3), 2) == (3, 2.0, (), {})
    assert documented(None, scale=np.float32(0.5), extra=np.bool_(True), other="kept") == (
        None, 0.5, (), {"extra": True, "other": "kept"}
    )  # fmt: skip
    for call, message in (
        (lambda: documented(None, 10), "count must be between 1 and 9, got 10"),
        (lambda: documented(None, count=0), "count must be at least 1, got 0"),
        (lambda: documented(None, scale=None), "scale must be a number, got None"),
        (lambda: documented(None, extra="yes"), "extra must be True or False, got 'yes'"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="missing a required argument: 'model'"):
        documented()


def test_a_call_that_is_marked_as_a_step_is_not_checked():
    @checked(unless="state", count=Count())
    def step(model, count, state=None):
        return count

    assert step(None, 0.5, state=1) == 0.5
    with pytest.raises(ValueError, match="count must be an integer, got 0.5"):
        step(None, 0.5)


def test_checks_are_not_traced_by_the_compiler():
    @checked(scale=Number(at_least=0))
    def double(values, scale=1.0):
        return 2 * scale * values

    compiled = torch.compile(double, backend="eager", fullgraph=True)
    assert torch.equal(compiled(torch.ones(2), scale=3.0), torch.full((2,), 6.0))
    with pytest.raises(ValueError, match="scale must be at least 0, got -3.0"):
        double(torch.ones(2), scale=-3.0)


@pytest.mark.parametrize(
    ("rule", "value", "message"),
    [
        (Count(), True, "an integer, got True"),
        (Count(), 1.0, "an integer, got 1.0"),
        (Count(), "3", "an integer, got '3'"),
        (Count(), torch.tensor([3]), "an integer, got tensor"),
        (Count(5, why="4 special tokens, 1 word"), 4, r"at least 5 \(4 special tokens, 1 word\), got 4"),
        (Number(), math.nan, "finite, got nan"),
        (Number(), torch.tensor(math.inf), "finite, got tensor"),
        (Number(), 1j, "a number, got 1j"),
        (Number(at_least=0, below=1), 1, r"in \[0, 1\), got 1"),
        (Number(above=0, at_most=1), 0, r"in \(0, 1\], got 0"),
        (Number(at_least=0, at_most=1e6), -1, "at least 0, got -1"),
        (Number(at_least=0, at_most=10**6), 1e7, "between 0 and 1,000,000, got 10000000.0"),
        (Number(above=0, at_most=100), 0, "positive, got 0"),
        (Flag(), 1, "True or False, got 1"),
        (Choice("max", "mean"), ["max"], r"one of max, mean, got \['max'\]"),
        (Seed(), 1.5, "a torch.Generator, an integer seed or None, got 1.5"),
        (Texts(), b"abc", "strings, got b'abc'"),
        (Texts(at_least=1), [], r"strings, at least one, got \[\]"),
        (TurnLengths(), [], r"lengths of the turns of at least one context, got \[\]"),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(rule, value, message):
    with pytest.raises(ValueError, match=f"^this must be {message}"):
        rule("this", value)


@pytest.mark.parametrize(
    ("rule", "values", "message"),
    [
        (Texts(), ["a b", None], "a string, got None"),
        (Texts(at_least=1, or_one=False), ["a b", ["c"]], r"a string, got \['c'\]"),
        (Lengths(), [3, 0], "at least 1, got 0"),
        (TurnLengths(), [[3, 0], [0, 0]], r"a list of lengths of at least 0, of which one is above 0, got \[0, 0\]"),
        (TurnLengths(), [[3], 4], "a list of lengths of at least 0, of which one is above 0, got 4"),
        (TurnLengths(), [[3], [0.5]], "integers, got float64"),
    ],
)
def test_the_one_of_many_values_that_makes_no_sense_is_named(rule, values, message):
    many = [values[0]] * 100 + values[1:]
    with pytest.raises(ValueError, match=rf"^this\[100\] must be {message}$"):
        rule("this", many)


def test_numbers_of_thousands_of_digits_are_refused():
    for value, text in ((10**400, "1000"), (10**5000, "a value of type int")):  # Python does not write the second
        with pytest.raises(ValueError, match=f"^this must be finite, got {text}"):
            Number()("this", value)


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        ([[math.nan] * 4], "latents must be finite, and of a magnitude of at most 10000, got nan"),
        (torch.full((2, 4), 1e38), "latents must be finite, and of a magnitude of at most 10000, got 9.9999"),
        (torch.zeros(2, 4, dtype=torch.bool), "latents must be numbers, got torch.bool"),
        (torch.zeros(2, 4, device="meta"), "latents must be on a device with memory, got a tensor on the device meta"),
        (torch.eye(4).to_sparse(), "latents must be a dense tensor, got one of layout torch.sparse_coo"),
        ([[1, 2], [3]], "latents must have rows of equal length"),
        ([None], "latents must be numbers, got entries such as None"),
    ],
)
def test_latents_that_make_no_sense_are_refused(latents, message):
    with pytest.raises(ValueError, match=message):
        tiny_model().generate(latents=latents)


def test_lists_of_whole_numbers_are_latents():
    assert LATENTS("latents", [[0, 1, 2, 3]], tiny_model()).tolist() == [[0.0, 1.0, 2.0, 3.0]]


def test_token_ids_outside_of_the_vocabulary_are_refused_before_anything_is_computed():
    model = tiny_model()
    for call in (model.encode, model.infer_symbols, model, model.generate):
        with pytest.raises(ValueError, match="input_ids: token ids must be in 0..11, as vocab_size, got 12"):
            call(torch.tensor([[2, 12, 3]]))
    assert TokenIds(also=-100)("labels", [[2, -100]], model).tolist() == [[2, -100]]


def test_lengths_must_fit_the_texts():
    model = tiny_model()
    for lengths in ([4], [4, 5], [4, 3, 2]):
        with pytest.raises(ValueError, match="lengths must be 2 numbers of at most 4, as input_ids, got"):
            model.encode(IDS, lengths=lengths)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guidance_scale": math.nan}, "guidance_scale must be finite, got nan"),
        ({"guidance_scale": math.inf}, "guidance_scale must be finite, got inf"),
        ({"num_langevin_steps": 1.5}, "num_langevin_steps must be an integer, got 1.5"),
        ({"num_langevin_steps": 1_000_000}, "num_langevin_steps must be between 0 and 10,000, got 1000000"),
        ({"num_samples": 10**12}, "num_samples must be between 1 and 10,000,000, got 1000000000000"),
        ({"batch_size": "2"}, "batch_size must be an integer, got '2'"),
        ({"return_diagnostics": "false"}, "return_diagnostics must be True or False, got 'false'"),
    ],
)
def test_how_latents_are_sampled_is_checked(options, message):
    with pytest.raises(ValueError, match=message):
        tiny_model().sample_latents(class_labels=1, **options)
