"""Codes and the symbols that number them, against enumeration."""

import itertools

import pytest
import torch
from torch.distributions import Categorical

from ldebm_hf.model.codes import joint_logits, one_hot_codes

SHAPES = [(1, 4), (2, 3), (3, 2)]  # variables, categories


@pytest.mark.parametrize(("num_variables", "num_categories"), SHAPES)
def test_joint_logits_are_the_products_in_the_order_of_itertools(num_variables, num_categories):
    """First variable slowest, as `itertools.product` counts; normalised, even if constants are added."""
    logits = 5 + 3 * torch.randn(6, num_variables, num_categories, dtype=torch.float64)
    log_probability = Categorical(logits=logits).logits
    codes = itertools.product(range(num_categories), repeat=num_variables)
    expected = [sum(log_probability[:, m, c] for m, c in enumerate(code)) for code in codes]
    torch.testing.assert_close(joint_logits(logits), torch.stack(expected, -1))


@pytest.mark.parametrize(("num_variables", "num_categories"), SHAPES)
def test_symbols_and_codes_number_each_other(num_variables, num_categories):
    symbols = torch.arange(num_categories**num_variables)
    codes = one_hot_codes(symbols, num_variables, num_categories)
    assert codes.shape == (len(symbols), num_variables, num_categories) and (codes.sum(-1) == 1).all()
    counted = itertools.product(range(num_categories), repeat=num_variables)
    assert codes.argmax(-1).tolist() == [list(code) for code in counted]
    assert torch.equal(joint_logits(codes.double()).argmax(-1), symbols)
