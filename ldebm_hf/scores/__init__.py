"""Scoring functions: of samples against data, of symbols against classes, and of generated texts."""

from ..text.word_vectors import WordVectors, load_word_vectors, train_vectors_by_neighbours
from .acceptability import acceptability
from .attributes import attribute_accuracy
from .classification import CalibrationBins, ClassificationScores, calibration_bins, classification_scores
from .completion import RecoveryScores, mask_positions, recovery_scores
from .distances import energy_distance, sliced_wasserstein
from .embeddings import EmbeddingScores, ResponseRetrieval, embedding_scores, response_retrieval
from .generated_texts import copied_share, corpus_bleu, distinct_n, distinct_share, empty_share, self_bleu
from .linear_probe import ProbeScores, probe_latents, probe_symbols
from .mode_coverage import ModeScores, mode_scores
from .point_models import PointSamples, draw_samples, floor_scores, score_points, score_samples
from .sample_perplexity import forward_perplexity, reverse_perplexity
from .symbol_agreement import BatchedHomogeneity, SymbolScores, batched_homogeneity, seed_agreement, symbol_scores
from .symbol_information import MutualInformation, SymbolUsage, mutual_information, symbol_usage
from .symbol_names import NameAccuracy, name_accuracy, name_by_words
from .topics import topic_coherence, topic_diversity
from .word_frequencies import WordDivergence, word_divergence

__all__ = [
    "BatchedHomogeneity",
    "CalibrationBins",
    "ClassificationScores",
    "EmbeddingScores",
    "ModeScores",
    "MutualInformation",
    "NameAccuracy",
    "PointSamples",
    "ProbeScores",
    "RecoveryScores",
    "ResponseRetrieval",
    "SymbolScores",
    "SymbolUsage",
    "WordDivergence",
    "WordVectors",
    "acceptability",
    "attribute_accuracy",
    "batched_homogeneity",
    "calibration_bins",
    "classification_scores",
    "copied_share",
    "corpus_bleu",
    "distinct_n",
    "distinct_share",
    "draw_samples",
    "embedding_scores",
    "empty_share",
    "energy_distance",
    "floor_scores",
    "forward_perplexity",
    "load_word_vectors",
    "mask_positions",
    "mode_scores",
    "mutual_information",
    "name_accuracy",
    "name_by_words",
    "probe_latents",
    "probe_symbols",
    "recovery_scores",
    "response_retrieval",
    "reverse_perplexity",
    "score_points",
    "score_samples",
    "seed_agreement",
    "self_bleu",
    "sliced_wasserstein",
    "symbol_scores",
    "symbol_usage",
    "topic_coherence",
    "topic_diversity",
    "train_vectors_by_neighbours",
    "word_divergence",
]
