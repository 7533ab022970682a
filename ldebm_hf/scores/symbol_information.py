"""Mutual information of latents and symbols, and the usage of the symbols; neither needs true classes."""

from dataclasses import dataclass

import numpy as np

from .symbol_agreement import as_labels


@dataclass(frozen=True)
class MutualInformation:
    """
    I(z; y) = H(y) − H(y|z) over a set of texts, in nats.

    Args:
        mutual_information (`float`): I(z; y), from 0 (all texts have the same p(y|z)) to log K.
        mutual_information_std_error (`float`): Its standard error over the texts.
        marginal_entropy (`float`): H(y), the entropy of the mean of p(y|z) over the set.
        conditional_entropy (`float`): H(y|z), the mean entropy of p(y|z).
    """

    mutual_information: float
    mutual_information_std_error: float
    marginal_entropy: float
    conditional_entropy: float


@dataclass(frozen=True)
class SymbolUsage:
    """
    How evenly texts are distributed over the symbols.

    Args:
        usage_entropy (`float`): Entropy of the symbols' frequencies, in nats; log K if all are equally frequent.
        usage_perplexity (`float`): Its exponential, the effective number of symbols.
        symbols_used (`int`): Number of symbols with at least one text.
        dead_symbols (`int`): Number of symbols without a text.
    """

    usage_entropy: float
    usage_perplexity: float
    symbols_used: int
    dead_symbols: int


def mutual_information(probabilities: np.ndarray) -> MutualInformation:
    r"""
    Mutual information of latent and symbol over a whole set, H(mean p) − mean H(p) (Yu et al. 2022, Eq. 9).

    It is estimated on the whole set because the estimate of a batch of B texts cannot exceed log B. It equals the mean
    of KL(p(y|z) ‖ p(y)) over the texts, whose spread gives the standard error.

    Args:
        probabilities (`np.ndarray` of shape `(n, K)`): p(y|z) of each text; every row adds up to 1.

    Raises:
        ValueError: There are no rows, rows have different lengths, or rows are not probabilities.
    """
    try:
        probabilities = np.asarray(probabilities, dtype=float)
    except (TypeError, ValueError) as error:
        lengths = ", ".join(map(str, sorted({np.size(row) for row in probabilities})))
        raise ValueError(f"probabilities must be rows of numbers, all of one length, got lengths {lengths}") from error
    if probabilities.ndim != 2 or not probabilities.size:
        raise ValueError(f"probabilities must have shape (n, K) and not be empty, got shape {probabilities.shape}")
    sums = probabilities.sum(1)
    # A row with NaN must fail as well; float32 softmax rows of a thousand symbols add up to 1 within 1e-4.
    wrong = np.flatnonzero(~((probabilities >= 0).all(1) & (np.abs(sums - 1) < 1e-3)))
    if len(wrong):
        raise ValueError(
            "probabilities must be at least 0 and add up to 1 in every row, but "
            f"row {wrong[0]} adds up to {sums[wrong[0]]:g} and its minimum is {probabilities[wrong[0]].min():g}"
        )
    probabilities = probabilities / sums[:, None]
    marginal = probabilities.mean(0)
    conditional_entropies = _entropy(probabilities)
    # Where the marginal is 0, so is every row, and the term does not count.
    divergences = -conditional_entropies - probabilities @ np.log(np.where(marginal > 0, marginal, 1))
    return MutualInformation(
        mutual_information=float(divergences.mean()),
        mutual_information_std_error=float(divergences.std() / len(probabilities) ** 0.5),
        marginal_entropy=float(_entropy(marginal)),
        conditional_entropy=float(conditional_entropies.mean()),
    )


def symbol_usage(symbols: np.ndarray, num_symbols: int) -> SymbolUsage:
    """
    How evenly texts are distributed over the symbols of a model.

    Args:
        symbols (`np.ndarray` of shape `(n,)`): The symbol of each text, 0 to `num_symbols` − 1, or its name.
        num_symbols (`int`): Number K of symbols that the model has.

    Raises:
        ValueError: There are no symbols, one is outside that range, or there are more names than symbols.
    """
    symbols = as_labels("symbols", symbols)
    if symbols.dtype.kind != "i":
        names, symbols = np.unique(symbols.astype(str), return_inverse=True)
        if len(names) > num_symbols:
            raise ValueError(f"symbols must have at most num_symbols={num_symbols} names, got {len(names)}")
    if not len(symbols) or not 0 <= symbols.min() <= symbols.max() < num_symbols:
        values = f"{symbols.min()} to {symbols.max()}" if len(symbols) else "none"
        raise ValueError(f"symbols must be one or more of 0 to {num_symbols - 1}, got {values}")
    counts = np.bincount(symbols, minlength=num_symbols)
    entropy, used = float(_entropy(counts / counts.sum())), int((counts > 0).sum())
    return SymbolUsage(entropy, float(np.exp(entropy)), used, int(num_symbols) - used)


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    """Entropy over the last axis, in nats."""
    from scipy.special import entr

    return entr(probabilities).sum(-1)
