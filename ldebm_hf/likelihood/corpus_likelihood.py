"""The log-likelihood of a whole data set, written to one file in chunks, and resumable after an interruption."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from ..files.atomic import write_text
from ..files.resumable import ResumableFile, chunk_generator, model_digest
from ..model import langevin
from ..model.text_reading import TextReader
from . import annealed_importance, bounds, importance_weights, latent_density
from .bounds import LikelihoodSettings, estimate_log_likelihood, require_density
from .importance_weights import TRUSTED_K
from .latent_density import Annealing, prepare_annealing
from .published_estimator import published_log_likelihood, require_published

if TYPE_CHECKING:
    from ..model.modeling_ldebm import LDEBMModel

DECISIVE_CONSTANTS = {
    bounds: ("FIRST_WIDENING", "WIDENING", "FITTED_SHARE", "UNFITTED_SHARE", "NUM_PRIOR_DRAWS"),
    latent_density: ("PILOT_CHAINS", "GUESS_DRAWS"),
    annealed_importance: ("LARGEST_STEP", "SMALLEST_STEP", "SOUGHT_ACCEPTANCE"),
    langevin: ("NOISE_BLOCK",),
    importance_weights: ("TRUSTED_K", "LARGEST_FINITE_K", "SHORTEST_TAIL", "TIE"),
}
"""Module constants that affect the estimates but are not settings; they must be the same for all chunks of a file."""
SHORTEST_TEXT = 3  # tokens: begin mark, one word and end mark
LEAST_EFFECTIVE = 10
"""Effective sample size below which an estimate is not trusted: its standard error is 0.3 nats or unknown."""
LARGEST_GAP = 0.5
"""Gap between the two sides, in nats and beyond their standard errors, above which an estimate is not trusted."""
LARGEST_UNTRUSTED_SHARE = 0.1
"""Fraction of untrusted examples above which the estimate of the data set is not trusted either."""


@dataclass(frozen=True)
class CorpusLikelihood:
    """
    The estimated log-likelihood of a data set in nats, with a lower and an upper side as in [`LikelihoodEstimate`].

    Args:
        num_examples (`int`): Number of texts or points.
        num_tokens (`int`, *optional*): Number of tokens of the texts, counting all words and every end mark.
        lower, upper (`float`): Means over the examples.
        lower_error, upper_error (`float`): Standard errors of these means due to the noise of the estimate, for these
            examples, including the error of the last level's normaliser, which all examples share.
        sampling_error (`float`, *optional*): Standard error of the mean over the examples as an estimate of the
            population mean; unknown for a single example.
        perplexity, least_perplexity (`float`, *optional*): exp of minus the log-likelihood per token, computed from
            the lower and from the upper side. In expectation of its logarithm, the former is at least the true one.
        effective_samples (`dict[str, float]`, *optional*): Effective sample sizes of the latents: smallest, 5 %
            quantile and median over the examples.
        effective_annealed (`dict[str, float]`, *optional*): The same for annealed samples.
        untrusted_share (`float`): Fraction of examples with an effective sample size of either kind below 10, with
            weights whose Pareto k is above 0.7, or whose sides are farther apart than 0.5 nats plus their standard
            errors.
        is_trusted (`bool`): Whether that fraction is at most 10 %, the means are at most 0.5 nats apart, and the last
            level's normaliser is as exact as 10 effective samples make it. If not, the lower side is still a bound,
            but may be far below the true value, and standard errors are unreliable. Modes of a posterior that no
            sample reached are not noticed (see `prior_share` of [`LikelihoodSettings`]).
        published (`float`, *optional*): Mean of the published system's estimator, which is not a likelihood.
    """

    num_examples: int
    num_tokens: int | None
    lower: float
    upper: float
    lower_error: float
    upper_error: float
    sampling_error: float | None
    perplexity: float | None
    least_perplexity: float | None
    effective_samples: dict[str, float] | None
    effective_annealed: dict[str, float] | None
    untrusted_share: float
    is_trusted: bool
    published: float | None


def write_likelihood(
    model: LDEBMModel,
    data: Sequence[str] | np.ndarray,
    path: str | Path,
    settings: LikelihoodSettings | None = None,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    max_length: int | None = None,
    published: bool = False,
    chunk_size: int = 8,
    seed: int = 0,
    overwrite: bool = False,
    show_progress: bool = True,
) -> CorpusLikelihood:
    """
    Estimate the log-likelihood of every example, and write a JSON file with `summary`, the [`CorpusLikelihood`];
    `request`, all settings; `annealing`, the [`Annealing`] of the prior; and `examples`, the values of every example.

    If the process is interrupted, the same call resumes where it stopped. The finished file has the same bytes as that
    of an uninterrupted run with the same number of threads on the same machine.

    Before it starts, a warning counts the texts that are truncated and the words that the tokenizer does not know,
    which are scored as `<unk>`.

    Args:
        model ([`LDEBMModel`]): The model, in evaluation mode as `from_pretrained` returns it.
        data (`Sequence[str]` of texts, or `np.ndarray` of points of shape `(n, point_size)`): The data set.
        path (`str` or `Path`): The `.json` file, which is created when all examples are done.
        settings ([`LikelihoodSettings`], *optional*): Numbers of samples.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): The model's tokenizer; required for texts.
        max_length (`int`, *optional*): Truncate texts to this number of tokens, including begin and end marks, at
            least 3 (published: 40). Default: no truncation.
        published (`bool`, *optional*, defaults to `False`): Whether to compute [`published_log_likelihood`] as well.
        chunk_size (`int`, *optional*, defaults to 8): Examples at a time. Another size draws other noise.
        seed (`int`, *optional*, defaults to 0): Seed of all noise, at least 0.
        overwrite (`bool`, *optional*, defaults to `False`): Whether to replace an existing file, and to discard an
            unfinished run with other settings at the same path.
        show_progress (`bool`, *optional*, defaults to `True`): Whether to show a progress bar.

    Raises:
        ValueError: If an argument is out of its range or does not go with the model, or if an unfinished run with
            other settings is at the same path.
        FileExistsError: If the file exists and `overwrite` is `False`.
        OSError: If the disk is full or the path cannot be written, or if another process is writing to it. Finished
            chunks are kept for the next call.
    """
    path, settings = Path(path), settings or LikelihoodSettings()
    if path.suffix != ".json":
        raise ValueError(f"path must end in .json, got {str(path)!r}")
    for name, value, least in (("chunk_size", chunk_size, 1), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    _check_data(model, data, tokenizer, max_length)
    if published:
        require_published(model.config)
    if model.modality.reads_texts:
        _warn_of_unread(model, data, tokenizer, max_length)
    request = {
        **asdict(settings),
        "max_length": max_length,
        "published": published,
        "chunk_size": chunk_size,
        "seed": seed,
        "the device": model.device.type,
        "the model": model_digest(model),
        "the data": _data_digest(data, tokenizer),
        **{name: getattr(module, name) for module, names in DECISIVE_CONSTANTS.items() for name in names},
    }
    chunks = [range(first, min(first + chunk_size, len(data))) for first in range(0, len(data), chunk_size)]
    file = ResumableFile(path, len(chunks), ".json")
    with file.lock:
        file.begin(request, overwrite)
        annealing = _prepared_annealing(model, settings, file, seed)
        missing = file.missing
        done = len(data) - sum(len(chunks[chunk]) for chunk in missing)
        with tqdm(total=len(data), initial=done, unit=" examples", smoothing=0.05, disable=not show_progress) as bar:
            for chunk in missing:
                generator, rows = chunk_generator(seed, chunk), chunks[chunk]
                inputs = _inputs(model, data[rows.start : rows.stop], tokenizer, max_length)
                file.add(chunk, json.dumps(_figures(model, inputs, settings, annealing, published, generator)))
                bar.update(len(rows))
        examples: dict[str, list] = {}
        for chunk in range(len(chunks)):
            for name, values in json.loads(file[chunk].read_text(encoding="utf-8")).items():
                examples.setdefault(name, []).extend(values)
        summary = summarize(examples, annealing)

        def join() -> Path:
            result = {
                "summary": asdict(summary),
                "request": request,
                "annealing": None if annealing is None else asdict(annealing),
                "examples": examples,
            }
            write_text(file.folder / "joined", json.dumps(result, ensure_ascii=False, indent=1))
            return file.folder / "joined"

        file.finish(join)
    return summary


def _check_data(model: LDEBMModel, data, tokenizer: PreTrainedTokenizerBase | None, max_length: int | None) -> None:
    require_density(model)
    if isinstance(data, str) or len(data) == 0:
        raise ValueError(f"data must be texts or points, at least one, got {data!r}")
    if max_length is not None and max_length < SHORTEST_TEXT:
        raise ValueError(f"max_length must be at least {SHORTEST_TEXT}, got {max_length}")
    if model.modality.reads_texts and tokenizer is None:
        raise ValueError(f"tokenizer must be given for a model of {model.config.modality}s")
    if model.config.context_size:
        raise ValueError("model must be without contexts, which data do not have: see estimate_log_likelihood")


def _warn_of_unread(model: LDEBMModel, texts: Sequence[str], tokenizer, max_length: int | None) -> None:
    """Count what is not read of all texts, those of an earlier run too, which takes no time beside the estimates."""
    reader = TextReader(tokenizer, model.config, max_length)
    reader.count(texts, tokenizer(list(texts), verbose=False, **_truncation(max_length)))
    reader.warn()


def _prepared_annealing(
    model: LDEBMModel, settings: LikelihoodSettings, file: ResumableFile, seed: int
) -> Annealing | None:
    """How to anneal the prior, from an earlier run or newly found; `None` if it need not be annealed."""
    if model.prior.has_exact_density:
        return None
    place = file.folder / "annealing.json"
    if not file.is_whole(place):
        generator = torch.Generator().manual_seed(seed)
        annealing = prepare_annealing(model.prior, settings.num_temperatures, generator=generator)
        file.write(place, json.dumps(asdict(annealing)))
    return Annealing(**json.loads(place.read_text(encoding="utf-8")))


def _inputs(model: LDEBMModel, data, tokenizer, max_length: int | None) -> dict[str, torch.Tensor]:
    if not model.modality.reads_texts:
        return {model.modality.input_name: torch.as_tensor(data, device=model.device)}
    options = {"return_tensors": "pt", "padding": True, "verbose": False, **_truncation(max_length)}
    return dict(tokenizer(list(data), **options).to(model.device))


def _truncation(max_length: int | None) -> dict[str, Any]:
    if max_length is None:
        return {}
    return {"truncation": True, "max_length": max_length}


def _single_examples(inputs: dict[str, torch.Tensor]) -> Iterator[dict[str, torch.Tensor]]:
    """The inputs of each example, without padding."""
    for i in range(len(next(iter(inputs.values())))):
        length = int(inputs["attention_mask"][i].sum()) if "attention_mask" in inputs else None
        yield {name: value[i : i + 1, :length] for name, value in inputs.items()}


def _figures(
    model: LDEBMModel,
    inputs: dict[str, torch.Tensor],
    settings: LikelihoodSettings,
    annealing: Annealing | None,
    published: bool,
    generator: torch.Generator,
) -> dict[str, list[float]]:
    """The fields of [`LikelihoodEstimate`] for each example, and its `num_tokens` and `published` value if any."""
    estimate = estimate_log_likelihood(model, settings, annealing=annealing, generator=generator, **inputs)
    figures = {name: values.tolist() for name, values in vars(estimate).items() if values is not None}
    if "input_ids" in inputs:
        figures["num_tokens"] = inputs["attention_mask"][:, 1:].sum(-1).tolist()
    if published:
        figures["published"] = [
            published_log_likelihood(model, generator=generator, **example).item()
            for example in _single_examples(inputs)
        ]
    return figures


def _data_digest(data, tokenizer) -> str:
    if isinstance(data, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(data).tobytes()).hexdigest()[:16]
    parts = [tokenizer.backend_tokenizer.to_str(), *data]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def summarize(examples: dict[str, list], annealing: Annealing | None) -> CorpusLikelihood:
    """
    Summarise the estimates of all examples.

    Args:
        examples (`dict[str, list]`): By name, a value for each example: the fields of [`LikelihoodEstimate`] that the
            model has, and `num_tokens` and `published` where they exist.
        annealing ([`Annealing`], *optional*): How the prior was annealed; `None` if it was not.
    """
    columns = {name: np.asarray(values, dtype=float) for name, values in examples.items()}
    size, shared = len(columns["lower"]), annealing.log_last_tilt_error if annealing else 0.0
    means = {name: float(columns[name].mean()) for name in ("lower", "upper")}
    errors = {
        name: math.hypot(math.sqrt(np.square(columns[name]).sum()) / size, shared)
        for name in ("lower_error", "upper_error")
    }
    noise = columns["lower_error"] + columns["upper_error"]
    untrusted = np.abs(columns["upper"] - columns["lower"]) > LARGEST_GAP + noise
    for name in {"effective_samples", "effective_annealed"} & columns.keys():
        untrusted |= columns[name] < LEAST_EFFECTIVE
    if "pareto_k" in columns:
        untrusted |= columns["pareto_k"] > TRUSTED_K
    share, gap = float(untrusted.mean()), means["upper"] - means["lower"]
    num_tokens = int(columns["num_tokens"].sum()) if "num_tokens" in columns else None

    def perplexity(log_likelihood: float) -> float | None:
        if num_tokens is None:
            return None
        with np.errstate(over="ignore"):  # infinite for texts of probability 0
            return float(np.exp(-log_likelihood * size / num_tokens))

    def quantiles(name: str) -> dict[str, float] | None:
        if name not in columns:
            return None
        smallest, low, median = np.quantile(columns[name], [0, 0.05, 0.5]).tolist()
        return {"smallest": smallest, "5 %": low, "median": median}

    return CorpusLikelihood(
        num_examples=size,
        num_tokens=num_tokens,
        **means,
        **errors,
        sampling_error=float(columns["lower"].std(ddof=1) / math.sqrt(size)) if size > 1 else None,
        perplexity=perplexity(means["lower"]),
        least_perplexity=perplexity(means["upper"]),
        effective_samples=quantiles("effective_samples"),
        effective_annealed=quantiles("effective_annealed"),
        untrusted_share=share,
        is_trusted=share <= LARGEST_UNTRUSTED_SHARE and abs(gap) <= LARGEST_GAP and shared <= LEAST_EFFECTIVE**-0.5,
        published=float(columns["published"].mean()) if "published" in columns else None,
    )
