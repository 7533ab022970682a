from collections.abc import Sequence
from pathlib import Path

import datasets

from ldebm_hf.metrics.base import ScoreMetric
from ldebm_hf.scores import acceptability
from ldebm_hf.scores.judging import Judge, load_judge


class Acceptability(ScoreMetric):
    """Fraction of texts that a judge of real against corrupted texts finds acceptable.

    Args:
        predictions (`list[str]`): The texts, in words as the judge's training texts have them. A text without words is
            not acceptable.
        judge (`Judge`, `str` or `Path`): A judge with a class called `acceptable`, or its folder or Hub id.
        real_texts (`Sequence[str]`, *optional*): Real held-out texts, to compare with.
        corrupted_texts (`Sequence[str]`, *optional*): Corrupted held-out texts, for the chance level.

    Returns:
        `dict[str, float]`: `acceptability` and its binomial standard error `acceptability_std_error`; where texts are
        given, `acceptability_real` of the real ones and `acceptability_chance` of the corrupted ones.
    """

    inputs = datasets.Features({"predictions": datasets.Value("string")})
    source = "Wagner et al., Judging Grammaticality: Experiments in Sentence Classification, CALICO Journal, 2009"

    def _compute(
        self,
        predictions,
        judge: Judge | str | Path,
        real_texts: Sequence[str] | None = None,
        corrupted_texts: Sequence[str] | None = None,
    ) -> dict[str, float]:
        if isinstance(judge, (str, Path)):
            judge = load_judge(judge)
        scores = acceptability(judge, predictions)
        for name, texts in (("real", real_texts), ("chance", corrupted_texts)):
            if texts is not None:
                scores[f"acceptability_{name}"] = acceptability(judge, texts)["acceptability"]
        return scores
