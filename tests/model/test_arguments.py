"""Lists, arrays of any integers and columns are taken wherever a model takes token ids; anything else is refused."""

import numpy as np
import pytest
import torch
from tiny_models import tiny_model

from ldebm_hf.likelihood.bounds import importance_weighted_bound
from ldebm_hf.likelihood.published_estimator import published_log_likelihood
from ldebm_hf.model.arguments import as_ids, as_mask
from ldebm_hf.model.text_classifier import TextClassifier, TextClassifierConfig

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
    "decoder_input_ids": lambda ids, mask: tiny_model()(
        IDS, MASK, labels=IDS, decoder_input_ids=ids, generator=0
    ).loss,
    "bound": lambda ids, mask: importance_weighted_bound(
        tiny_model(prior="gaussian", id2label=None), num_samples=2, input_ids=ids, attention_mask=mask, generator=0
    ),
    "contexts": lambda ids, mask: tiny_model(context_size=4, context_hidden_size=4).sample_latents(
        context_input_ids=[ids, ids] if isinstance(ids, list) else ids[None], generator=0
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
        torch.testing.assert_close(read(form(IDS), None)[:1], expected)
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
