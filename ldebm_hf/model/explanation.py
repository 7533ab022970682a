"""What each symbol of a model is about: its share of the texts, its words, typical texts and a suggested name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging

from .arguments import DECODING, MOST_SAMPLES, SAMPLING, Contexts, Texts, Tokenizer, checked
from .bag_of_words import marks
from .dialogue_turns import encode_contexts
from .distinctive_words import (
    WORD_SCORES,
    WordScore,
    informative_words,
    relevances,
    short_names,
    top_words,
)
from .sampling import one_warning_of_chains
from .text_reading import TextReader, WholeWordCounts, is_word_level
from .validation import Choice, Count, Flag, Number

NUM_NAMING_WORDS = 50
"""Number of words that a name is chosen from; most of the first ones may be stop words."""


@dataclass(frozen=True)
class DistinctiveWord:
    """
    Args:
        word (`str`): The word as the tokenizer decodes it.
        score (`float`): How strongly it distinguishes the symbol from the others; comparable only between scores of
            the same kind.
        count (`int`): How often it occurs in the symbol's texts.
    """

    word: str
    score: float
    count: int


@dataclass(frozen=True)
class SymbolExplanation:
    """
    Args:
        id (`int`), name (`str`): The symbol, as in `config.id2label`.
        suggested_name (`str`): A name made of its words, different for every symbol.
        num_texts (`int`): Number of texts whose likeliest symbol it is.
        share (`float`): Fraction of all texts whose likeliest symbol it is.
        confidence (`float`, *optional*): Mean p(y|x) of the symbol over these texts; `None` without any text.
        words (`list[DistinctiveWord]`): Words that distinguish these texts from the others, the highest score first.
        closest (`list[str]`): Those of these texts with the highest p(y|x), the highest first, without duplicates.
        generated (`list[str]`): Texts written for the symbol; for a model of documents words, the most relevant first.
    """

    id: int
    name: str
    suggested_name: str
    num_texts: int
    share: float
    confidence: float | None
    words: list[DistinctiveWord]
    closest: list[str]
    generated: list[str]


@dataclass(frozen=True)
class Explanation:
    """
    Args:
        symbols (`list[SymbolExplanation]`): One for every symbol, by id.
        word_score (`str`): How words are scored, `"log_odds"` or `"ctfidf"`.
        texts (`list[str]`): The texts that were read, in the order of the arrays below.
        assignments (`np.ndarray` of shape `(num_texts,)`): The likeliest symbol of each text.
        log_odds (`np.ndarray` of shape `(num_texts,)`): log p/(1 - p) of that symbol's p = p(y|x), which still
            distinguishes probabilities that round to 1.
        latents (`np.ndarray` of shape `(num_texts, total_latent_size)`): Posterior means; for codes probabilities.
        modality (`str`, *optional*, defaults to `"text"`): The modality of the model, `"text"` or `"document"`.
    """

    symbols: list[SymbolExplanation]
    word_score: str
    texts: list[str]
    assignments: np.ndarray
    log_odds: np.ndarray
    latents: np.ndarray
    modality: str = "text"

    @property
    def num_used(self) -> int:
        """Number of symbols with at least one text."""
        return sum(symbol.num_texts > 0 for symbol in self.symbols)

    @property
    def usage_entropy(self) -> float:
        """-Σ share log share in nats: 0 if one symbol is used, the log of their number if all are equally frequent."""
        shares = np.array([symbol.share for symbol in self.symbols if symbol.num_texts])
        return float(-(shares * np.log(shares)).sum()) + 0.0

    @property
    def confidence(self) -> float:
        """Mean probability of the likeliest symbol, over all texts."""
        return float(_probabilities(self.log_odds).mean())

    @property
    def suggested_names(self) -> dict[int, str]:
        """The suggested name of every symbol, as [`~LDEBMModel.name_symbols`] takes them."""
        return {symbol.id: symbol.suggested_name for symbol in self.symbols}


@checked(
    **{**SAMPLING, **DECODING, "num_samples": Count(at_least=0, at_most=MOST_SAMPLES)},
    texts=Texts(at_least=1, or_one=False),
    tokenizer=Tokenizer(),
    contexts=Contexts(),
    num_words=Count(at_least=0),
    num_texts=Count(at_least=0),
    word_score=Choice(*WORD_SCORES),
    batch_size=Count(at_most=MOST_SAMPLES),
    show_progress=Flag(),
)
@one_warning_of_chains()
def explain(
    model,
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    contexts: Sequence[Sequence[str]] | None = None,
    num_words: int = 10,
    num_texts: int = 5,
    num_samples: int | None = None,
    word_score: WordScore = "log_odds",
    batch_size: int = 256,
    generator: torch.Generator | int | None = None,
    show_progress: bool = False,
    **generation_kwargs,
) -> Explanation:
    """
    What each symbol is about, shown by real texts and by texts that the model writes for it.

    A text belongs to its likeliest symbol by [`infer_symbols`]. Words are the tokens that the model reads (texts are
    truncated to the tokenizer's maximum length) without the special tokens and the unknown word.

    Args:
        texts (`Sequence[str]`): Real texts, at least one; more texts give better words.
        tokenizer (`PreTrainedTokenizerBase`): The model's tokenizer.
        contexts (`Sequence[Sequence[str]]`, *optional*): For a model with contexts, the turns before each text, marked
            as `config.speaker_markers` says. Texts are written in contexts that are evenly spaced among these.
        num_words (`int`, *optional*, defaults to 10): At most this many words per symbol, of positive score.
        num_texts (`int`, *optional*, defaults to 5): At most this many real texts per symbol.
        num_samples (`int`, *optional*): Number of texts to write per symbol, by default 5; for a model of documents
            the number of words, by default 10. 0 writes nothing.
        word_score (`str`, *optional*, defaults to `"log_odds"`): `"log_odds"` (z-scores against the other symbols;
            Monroe et al., 2008) or `"ctfidf"` (c-TF-IDF, without stop words; Grootendorst, 2022).
        batch_size (`int`, *optional*, defaults to 256): Number of texts to read or to write at a time.
        generator (`torch.Generator` or `int`, *optional*): Source of the noise of the written texts; an integer is a
            seed.
        show_progress (`bool`, *optional*, defaults to `False`): Show progress bars.
        generation_kwargs: As in [`generate`], such as `guidance_scale` and decoding options. The unknown word is not
            written unless `suppress_tokens` is given. For a model of documents as in
            [`~ldebm_hf.model.explanation.symbol_topics`].

    Returns:
        [`Explanation`]

    Raises:
        ValueError: If the prior has no symbols; for a model of points or in training mode; without texts; and for a
            number or a `word_score` that is not allowed.
    """
    config = model.config
    _check_model_and_texts(model, texts, contexts)
    if num_samples is None:
        num_samples = 10 if model.modality.is_bag_of_words else 5
    counts, counted_words, assignments, log_odds, latents = _read_symbols(
        model, texts, tokenizer, batch_size, show_progress, contexts
    )
    members = [np.flatnonzero(assignments == symbol) for symbol in range(config.num_labels)]
    words = _words_of_symbols(counts, word_score, counted_words, max(num_words, NUM_NAMING_WORDS))
    suggested_names = short_names(
        [[item.word for item in symbol_words] for symbol_words in words], [len(indices) > 0 for indices in members]
    )
    if num_samples == 0:
        generated = [[] for _ in members]
    elif model.modality.is_bag_of_words:
        options = {"num_words": num_samples, "generator": generator, **generation_kwargs}
        generated = symbol_topics(model, tokenizer, **options)
    else:
        options = {"generator": generator, **generation_kwargs}
        if model.modality.is_autoregressive:
            options.setdefault("suppress_tokens", [config.unk_token_id])
        generated = _write_symbols(model, tokenizer, num_samples, batch_size, show_progress, contexts, options)
    symbols = [
        SymbolExplanation(
            id=symbol,
            name=config.id2label[symbol],
            suggested_name=suggested_names[symbol],
            num_texts=len(indices),
            share=len(indices) / len(texts),
            confidence=float(_probabilities(log_odds[indices]).mean()) if len(indices) else None,
            words=words[symbol][:num_words],
            closest=_different_texts(texts, indices[np.argsort(-log_odds[indices], kind="stable")], num_texts),
            generated=generated[symbol],
        )
        for symbol, indices in enumerate(members)
    ]
    return Explanation(symbols, word_score, texts, assignments, log_odds, latents, config.modality)


def _check_model_and_texts(model, texts: Sequence[str], contexts: Sequence[Sequence[str]] | None) -> None:
    """Raise ValueError for a model that cannot explain its symbols, and for texts that it cannot read."""
    model.require_symbols()
    if not model.modality.reads_texts:
        raise ValueError("explain reads texts and cannot be used with a model of points")
    if model.training:
        raise ValueError("model must be in evaluation mode, without dropout: call model.eval()")
    if contexts is not None and len(contexts) != len(texts):
        raise ValueError(f"contexts must be one per text, {len(texts)}, got {len(contexts)}")


@torch.no_grad()
@checked(
    **SAMPLING,
    tokenizer=Tokenizer(),
    num_words=Count(),
    relevance=Number(at_least=0, at_most=1),
)
@one_warning_of_chains()
def symbol_topics(
    model,
    tokenizer: PreTrainedTokenizerBase,
    *,
    num_words: int = 10,
    relevance: float = 0.6,
    num_samples: int = 500,
    guidance_scale: float | None = None,
    generator: torch.Generator | int | None = None,
) -> list[list[str]]:
    """
    The words that the decoder of a model of documents generates for each symbol y, the most relevant first.

    p(w|y) is estimated by the mean of p(w|z) over samples z of the prior for y. A word's relevance is
    λ log p(w|y) + (1 - λ) log p(w|y)/p(w) (Sievert and Shirley, 2014), where p(w) is its frequency in the training
    corpus.

    Args:
        model ([`LDEBMModel`]): A model of documents, in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): The model's tokenizer.
        num_words (`int`, *optional*, defaults to 10): Number of words per symbol.
        relevance (`float`, *optional*, defaults to 0.6): λ, from 0 (words that are specific to a symbol, which may be
            rare) to 1 (its most frequent words).
        num_samples (`int`, *optional*, defaults to 500): Number of latents per symbol.
        guidance_scale (`float`, *optional*), generator (`torch.Generator` or `int`, *optional*): As in
            `model.sample_latents`.

    Returns:
        `list[list[str]]`: the words of each symbol.

    Raises:
        ValueError: For a model that is not of documents, has no symbols or is in training mode, and for a number that
            is not allowed.
    """
    if not model.modality.is_bag_of_words:
        raise ValueError(f"symbol_topics needs a model of documents, got one of {model.config.modality}s")
    model.require_symbols()
    if model.training:
        raise ValueError("model must be in evaluation mode, without dropout: call model.eval()")
    no_words = torch.tensor(marks(model.config), device=model.device)
    most = model.config.vocab_size - len(no_words)
    if not 1 <= num_words <= most:
        raise ValueError(f"num_words must be from 1 to the number of words, {most}, got {num_words}")
    log_frequency = model.decoder.background.log_softmax(-1)
    topics = []
    for symbol in range(model.config.num_labels):
        latents = model.sample_latents(
            num_samples, class_labels=torch.tensor(symbol), guidance_scale=guidance_scale, generator=generator
        )
        total = sum(model.decoder(part).softmax(-1).sum(0) for part in latents.split(100))
        scores = relevances((total / num_samples).log(), log_frequency, relevance)
        scores = scores.index_fill(0, no_words, -torch.inf)
        topics.append(tokenizer.convert_ids_to_tokens(scores.topk(num_words).indices.tolist()))
    return topics


@torch.no_grad()
def _read_symbols(
    model,
    texts: list[str],
    tokenizer: PreTrainedTokenizerBase,
    batch_size: int,
    show_progress: bool,
    contexts: Sequence[Sequence[str]] | None,
) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray, np.ndarray]:
    """
    What the model reads in the texts.

    Returns:
        How often the texts of each symbol contain each word, `(num_symbols, num_words)`; the words; then for each
        text its symbol and the symbol's log-odds, `(num_texts,)` both, and its posterior mean
        `(num_texts, total_latent_size)`.
    """
    shape = (model.config.num_labels, model.config.vocab_size)
    counts = np.zeros(shape)
    whole_words = None if is_word_level(tokenizer) else WholeWordCounts(tokenizer)
    reader = TextReader(tokenizer, model.config, encoder=model.encoder)
    assignments, log_odds, latents = [], [], []
    for indices in _batches(len(texts), batch_size, "reading", show_progress):
        batch = reader([texts[i] for i in indices]).to(model.device)
        context = {}
        if contexts is not None:
            context = encode_contexts([contexts[i] for i in indices], tokenizer, model.device, reader=reader)
        posterior = model.encode(batch["input_ids"], batch["attention_mask"], **context)
        logits = posterior.symbol_logits.double().cpu()
        best_logits, symbols = logits.max(-1)
        other_logits = logits.scatter(1, symbols[:, None], -torch.inf).logsumexp(-1)
        is_token = batch["attention_mask"].cpu().bool()
        cells = (symbols[:, None] * shape[1] + batch["input_ids"].cpu())[is_token]
        counts += np.bincount(cells.numpy(), minlength=counts.size).reshape(shape)
        if whole_words is not None:
            whole_words.add(batch["input_ids"], symbols.tolist())
        assignments.append(symbols.numpy())
        log_odds.append((best_logits - other_logits).numpy())
        latents.append(posterior.posterior_mean.float().cpu().numpy())
    reader.warn()
    counts[:, [*tokenizer.all_special_ids, model.config.unk_token_id]] = 0
    words = tokenizer.convert_ids_to_tokens(range(shape[1]))
    if whole_words is not None:
        counts, words = whole_words.table(shape[0])
    return counts, words, np.concatenate(assignments), np.concatenate(log_odds), np.concatenate(latents)


def _write_symbols(
    model,
    tokenizer: PreTrainedTokenizerBase,
    num_samples: int,
    batch_size: int,
    show_progress: bool,
    contexts: Sequence[Sequence[str]] | None,
    options: dict,
) -> list[list[str]]:
    """`num_samples` texts written for each symbol."""
    num_symbols = model.config.num_labels
    requested = [symbol for symbol in range(num_symbols) for _ in range(num_samples)]
    if contexts is not None:  # the same ones for every symbol
        spaced = np.linspace(0, len(contexts) - 1, num_samples).round().astype(int)
        contexts = [contexts[i] for i in spaced] * num_symbols
    written = []
    for indices in _batches(len(requested), batch_size, "writing", show_progress):
        context = {}
        if contexts is not None:
            context = encode_contexts([contexts[i] for i in indices], tokenizer, model.device)
        token_ids = model.generate(class_labels=torch.tensor([requested[i] for i in indices]), **context, **options)
        written += tokenizer.batch_decode(token_ids, skip_special_tokens=True)
    return [written[symbol * num_samples : (symbol + 1) * num_samples] for symbol in range(num_symbols)]


def _batches(number: int, batch_size: int, verb: str, show_progress: bool) -> Iterator[range]:
    """The indices of `number` texts, `batch_size` at a time, with a progress bar."""
    with logging.tqdm(total=number, desc=verb, unit="text", disable=not show_progress) as bar:
        for start in range(0, number, batch_size):
            indices = range(start, min(start + batch_size, number))
            yield indices
            bar.update(len(indices))


def _words_of_symbols(
    counts: np.ndarray, word_score: WordScore, counted_words: Sequence[str], number: int
) -> list[list[DistinctiveWord]]:
    """At most `number` words of each symbol, those of the highest scores first."""
    scores = WORD_SCORES[word_score](counts)
    words = []
    for row, count, columns in zip(scores, counts, top_words(scores, counts, number), strict=True):
        symbol_words = [
            DistinctiveWord(counted_words[column], float(row[column]), int(count[column]))
            for column in columns.tolist()
        ]
        if word_score == "ctfidf":  # c-TF-IDF ranks frequent words high even if they are not informative
            informative = set(informative_words([item.word for item in symbol_words]))
            symbol_words = [item for item in symbol_words if item.word in informative]
        words.append(symbol_words)
    return words


def _probabilities(log_odds: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -log_odds))


def _different_texts(texts: list[str], order: np.ndarray, number: int) -> list[str]:
    """The first `number` texts in an order, without texts that differ from an earlier one in case or space alone."""
    chosen: dict[str, str] = {}
    for index in order:
        if len(chosen) == number:
            break
        chosen.setdefault(" ".join(texts[index].lower().split()), texts[index])
    return list(chosen.values())
