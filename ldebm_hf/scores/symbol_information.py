"""How much a model's symbols say about texts, and how many of them it uses; no classes needed."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MutualInformation:
    """I(z; y) = H(y) − H(y|z) over a set, in nats.

    Args:
        mutual_information (`float`): 0 if every text has the same p(y|z), at most log K.
        mutual_information_std_error (`float`): standard error over the texts.
        marginal_entropy (`float`): H(y), of the mean of p(y|z) over the set.
        conditional_entropy (`float`): H(y|z), the mean of the entropies of p(y|z).
    """

    mutual_information: float
    mutual_information_std_error: float
    marginal_entropy: float
    conditional_entropy: float


@dataclass(frozen=True)
class SymbolUsage:
    """How evenly a set's texts spread over the symbols.

    Args:
        usage_entropy (`float`): of the symbols' shares, in nats; log K if all are used alike.
        usage_perplexity (`float`): its exponential: as many symbols, used alike, have this entropy.
        symbols_used (`int`): symbols with at least one text.
        dead_symbols (`int`): the others.
    """

    usage_entropy: float
    usage_perplexity: float
    symbols_used: int
    dead_symbols: int


def mutual_information(probabilities: np.ndarray) -> MutualInformation:
    r"""Mutual information of latent and symbol over a whole set, H(mean p) − mean H(p) (Yu et al. 2022, Eq. 9).

    On a whole set, because the estimate of a batch of B texts cannot exceed log B. It is the mean over the texts of
    KL(p(y|z) ‖ p(y)), whose spread gives the standard error.

    Args:
        probabilities (`np.ndarray` of shape `(n, K)`): p(y|z) of each text; rows that sum to 1.

    Raises:
        ValueError: no rows, rows of different lengths, or rows that are no probabilities.
    """
    try:
        probabilities = np.asarray(probabilities, dtype=float)
    except (TypeError, ValueError) as error:
        lengths = ", ".join(map(str, sorted({np.size(row) for row in probabilities})))
        raise ValueError(f"probabilities must be rows of numbers, all of one length, got lengths {lengths}") from error
    if probabilities.ndim != 2 or not probabilities.size:
        raise ValueError(f"probabilities must have shape (n, K) and not be empty, got shape {probabilities.shape}")
    sums = probabilities.sum(1)
    # Written so that NaN fails, too; float32 softmax rows of a thousand symbols are within 1e-4.
    wrong = np.flatnonzero(~((probabilities >= 0).all(1) & (np.abs(sums - 1) < 1e-3)))
    if len(wrong):
        raise ValueError(
            "probabilities must be rows of numbers from 0 that sum to 1, but "
            f"row {wrong[0]} sums to {sums[wrong[0]]:g} and its smallest number is {probabilities[wrong[0]].min():g}"
        )
    probabilities = probabilities / sums[:, None]
    marginal = probabilities.mean(0)
    conditional_entropies = _entropy(probabilities)
    # Where the marginal is 0, every row is.
    divergences = -conditional_entropies - probabilities @ np.log(np.where(marginal > 0, marginal, 1))
    return MutualInformation(
        mutual_information=float(divergences.mean()),
        mutual_information_std_error=float(divergences.std() / len(probabilities) ** 0.5),
        marginal_entropy=float(_entropy(marginal)),
        conditional_entropy=float(conditional_entropies.mean()),
    )


def symbol_usage(symbols: np.ndarray, num_symbols: int) -> SymbolUsage:
    """
    Args:
        symbols (`np.ndarray` of shape `(n,)`): the symbol of each text, 0 to `num_symbols` − 1.
        num_symbols (`int`): K, how many the model has.

    Raises:
        ValueError: no symbols, or one that does not exist.
    """
    symbols = np.asarray(symbols)
    if not len(symbols) or not 0 <= symbols.min() <= symbols.max() < num_symbols:
        values = f"{symbols.min()} to {symbols.max()}" if len(symbols) else "none"
        raise ValueError(f"symbols must be one or more of 0 to {num_symbols - 1}, got {values}")
    counts = np.bincount(symbols, minlength=num_symbols)
    entropy, used = float(_entropy(counts / counts.sum())), int((counts > 0).sum())
    return SymbolUsage(entropy, float(np.exp(entropy)), used, int(num_symbols) - used)


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    """In nats, over the last axis."""
    from scipy.special import entr

    return entr(probabilities).sum(-1)
