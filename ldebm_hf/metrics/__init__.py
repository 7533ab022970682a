"""The scores of [`ldebm_hf.scores`] as `evaluate.Metric` classes, one per file; they need the extra `metrics`.

Call `BLEU().compute(predictions=texts, references=references)`, or `add_batch` several times and then `compute()`.
`evaluate.load` accepts the path of one of the files. As it copies the file elsewhere, the files import from the
package by its full name.
"""

from .acceptability import Acceptability
from .adjusted_rand import AdjustedRand
from .attribute_accuracy import AttributeAccuracy
from .batched_homogeneity import BatchedHomogeneity
from .completeness import Completeness
from .copied_share import CopiedShare
from .corpus_bleu import BLEU
from .distinct_n import DistinctN
from .embedding_average import EmbeddingAverage
from .embedding_extrema import EmbeddingExtrema
from .embedding_greedy import EmbeddingGreedy
from .forward_perplexity import ForwardPerplexity
from .homogeneity import Homogeneity
from .mutual_information import MutualInformation
from .normalized_mutual_information import NormalizedMutualInformation
from .response_retrieval import ResponseRetrieval
from .reverse_perplexity import ReversePerplexity
from .self_bleu import SelfBLEU
from .symbol_usage import SymbolUsage
from .v_measure import VMeasure
from .word_kl import WordKL

__all__ = [
    "BLEU",
    "Acceptability",
    "AdjustedRand",
    "AttributeAccuracy",
    "BatchedHomogeneity",
    "Completeness",
    "CopiedShare",
    "DistinctN",
    "EmbeddingAverage",
    "EmbeddingExtrema",
    "EmbeddingGreedy",
    "ForwardPerplexity",
    "Homogeneity",
    "MutualInformation",
    "NormalizedMutualInformation",
    "ResponseRetrieval",
    "ReversePerplexity",
    "SelfBLEU",
    "SymbolUsage",
    "VMeasure",
    "WordKL",
]
