"""Responses that are remembered in part: how many, which, and that more of them have all of fewer."""

import numpy as np
from repeated_dialogues import with_remembered

WRITTEN, REMEMBERED = [f"w{i}" for i in range(10)], [f"r{i}" for i in range(10)]
REPEATED = np.arange(10) % 2 == 0


def test_only_repeated_responses_are_remembered_and_a_larger_share_has_all_of_a_smaller_one():
    assert with_remembered(WRITTEN, REMEMBERED, REPEATED, 0, seed=0) == (WRITTEN, 0)
    before = set()
    for share, expected in ((0.2, 1), (0.6, 3), (1, 5)):
        responses, count = with_remembered(WRITTEN, REMEMBERED, REPEATED, share, seed=0)
        replaced = {i for i in range(10) if responses[i] != WRITTEN[i]}
        assert count == expected == len(replaced) and replaced > before
        assert all(responses[i] == REMEMBERED[i] and REPEATED[i] for i in replaced)
        before = replaced
    assert WRITTEN[0] == "w0", "what the model wrote is kept"
