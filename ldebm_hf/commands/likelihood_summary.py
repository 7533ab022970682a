"""What an estimate of the likelihood of a data set says, in words."""

from __future__ import annotations

from ..likelihood.corpus_likelihood import CorpusLikelihood


def describe_likelihood(summary: CorpusLikelihood, unit: str) -> str:
    """
    Write an estimate as lines of text: the bounds with their errors, perplexity, and whether they can be trusted.

    Args:
        summary ([`CorpusLikelihood`]): The estimate.
        unit (`str`): What an example is called, such as `"text"`.
    """
    has_sides = summary.effective_annealed is not None or summary.upper != summary.lower
    size = f"{summary.num_examples} {unit}s"
    if summary.num_tokens:
        size += f", {summary.num_tokens} tokens"
    lines = [size, f"negative log-likelihood: at most {-summary.lower:.3f} ± {summary.lower_error:.3f} nats a {unit}"]
    if has_sides:
        lines.append(f"  by the other side of its normalisers {-summary.upper:.3f} ± {summary.upper_error:.3f}")
    if summary.sampling_error is not None:
        lines.append(f"  ± {summary.sampling_error:.3f} for other {unit}s of the kind")
    if summary.perplexity is not None:
        other = f" ({summary.least_perplexity:.2f} by the other side)" if has_sides else ""
        lines.append(f"perplexity per token: {summary.perplexity:.2f}{other}")
    for name, sizes in (("latents", summary.effective_samples), ("annealed", summary.effective_annealed)):
        if sizes is not None:
            text = ", ".join(f"{label} {size:.0f}" for label, size in sizes.items())
            lines.append(f"effective samples per {unit}, {name}: {text}")
    reasons = "too few effective samples, too heavy tails or sides too far apart"
    poor = f"{summary.untrusted_share:.1%} of {unit}s have {reasons}"
    if summary.is_trusted:
        lines.append(f"{poor}: the figures can be taken for the log-likelihood itself")
    else:
        lines.append(f"{poor}: the figures are only bounds, and MUST NOT be taken for the log-likelihood")
    if summary.published is not None:
        lines.append(f"published system's estimator: {-summary.published:.3f}, which is no likelihood")
    return "\n".join(lines)
