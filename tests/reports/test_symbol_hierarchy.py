"""The tree of symbols: near symbols are joined first."""

import numpy as np

from ldebm_hf.reports.symbol_hierarchy import ROW, symbol_hierarchy, tree_lines

CENTERS = {1: 0.0, 3: 10.0, 4: 1.0, 7: 11.5}


def hierarchy_of(centers):
    symbols = np.repeat(list(centers), 4)
    noise = np.tile([[0.1, 0], [-0.1, 0], [0, 0.1], [0, -0.1]], (len(centers), 1))
    latents = np.stack([np.repeat(list(centers.values()), 4), np.zeros(len(symbols))], 1) + noise
    return symbol_hierarchy(latents, symbols)


def test_nearest_symbols_are_joined_first():
    found = hierarchy_of(CENTERS)
    leaves = found["symbols"]
    assert sorted(leaves) == [1, 3, 4, 7]
    first, second, last = found["joins"]
    assert {leaves[place] for place in first[:2]} == {1, 4} and abs(first[2] - 1) < 1e-9
    assert {leaves[place] for place in second[:2]} == {3, 7} and abs(second[2] - 1.5) < 1e-9
    assert set(last[:2]) == {4, 5} and abs(last[2] - 10.25) < 1e-9
    assert abs(leaves.index(1) - leaves.index(4)) == 1, "joined symbols are neighbours"


def test_two_symbols_are_no_tree_and_equal_centers_are_one():
    assert hierarchy_of({0: 0.0, 1: 1.0}) is None
    lines, height = tree_lines(hierarchy_of({0: 0.0, 1: 0.0, 2: 0.0}))
    assert len(lines) == 2 and height == 3 * ROW and "nan" not in "".join(lines)
