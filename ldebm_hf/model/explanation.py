"""What each symbol of a model is about: its share of texts, its words, its sentences, a name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging

from .dialogue_turns import encode_contexts
from .distinctive_words import WORD_SCORES, WordScore, short_names, telling_words, top_words
from .text_reading import TextReader, WholeWordCounts, is_word_level
from .topic_words import symbol_topics

NUM_NAMING_WORDS = 50
"""Of so many words a name is made; most of the first ones may be stop words."""


@dataclass(frozen=True)
class DistinctiveWord:
    """
    Args:
        word (`str`): As the tokenizer has it.
        score (`float`): By how much it sets the symbol apart; only to be compared within one kind of score.
        count (`int`): How often the symbol's texts have it.
    """

    word: str
    score: float
    count: int


@dataclass(frozen=True)
class SymbolExplanation:
    """
    Args:
        id (`int`), name (`str`): The symbol, as in `config.id2label`.
        suggested_name (`str`): Made of its words, different for every symbol.
        num_texts (`int`): Texts whose likeliest symbol it is.
        share (`float`): That as a share of all texts.
        confidence (`float`, *optional*): Their mean probability p(y|x) of the symbol; `None` without any.
        words (`list[DistinctiveWord]`): What sets them apart, the most telling first.
        closest (`list[str]`): Different ones of them with the highest p(y|x), the highest first.
        generated (`list[str]`): Texts written for the symbol; by a model of documents words, the most relevant first.
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
        texts (`list[str]`): The texts that were read, in step with all that follows.
        assignments (`np.ndarray` of shape `(num_texts,)`): Their likeliest symbols.
        log_odds (`np.ndarray` of shape `(num_texts,)`): log p/(1 - p) of those symbols' p = p(y|x), which still tells
            apart what rounds to 1.
        latents (`np.ndarray` of shape `(num_texts, total_latent_size)`): Posterior means, of codes probabilities.
        modality (`str`): What the model is of, `"text"` or `"document"`.
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
        """-Σ share log share, in nats: log of the number of symbols if all are as frequent, 0 for a single one."""
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


class LDEBMExplanationMixin:
    """`explain` and `name_symbols` for a model with `encode`, `generate` and a configuration that names symbols."""

    def explain(
        self,
        texts: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        *,
        contexts: Sequence[Sequence[str]] | None = None,
        num_words: int = 10,
        num_texts: int = 5,
        num_samples: int | None = None,
        word_score: WordScore = "log_odds",
        batch_size: int = 256,
        generator: torch.Generator | None = None,
        show_progress: bool = False,
        **generation_kwargs,
    ) -> Explanation:
        """
        What each symbol is about, by real texts and by texts that the model writes for it.

        A text's symbol is the likeliest by [`infer_symbols`]. Words are tokens without the special ones and the
        unknown word, of texts cut to the tokenizer's length as the model reads them; of a tokenizer of subwords they
        are whole words. A warning counts words that the model does not know and texts that are cut.

        Args:
            texts (`Sequence[str]`): Real texts, at least one; more give better words.
            tokenizer (`PreTrainedTokenizerBase`): The model's.
            contexts (`Sequence[Sequence[str]]`, *optional*): For a model with contexts the turns before each text,
                marked as `ldebm_hf.data` marks them. Texts are then written in contexts evenly spaced among these.
            num_words (`int`, *optional*, defaults to 10): Words per symbol at most, those above 0.
            num_texts (`int`, *optional*, defaults to 5): Real texts per symbol at most.
            num_samples (`int`, *optional*): Texts to write per symbol, by default 5; for a model of documents words,
                by default 10. 0 writes none.
            word_score (`str`, *optional*, defaults to `"log_odds"`): `"log_odds"` (z-scores against the other symbols;
                Monroe et al., 2008) or `"ctfidf"` (c-TF-IDF, without stop words; Grootendorst, 2022).
            batch_size (`int`, *optional*, defaults to 256): Texts to read or write at a time.
            generator (`torch.Generator`, *optional*): Source of the noise of the texts written.
            show_progress (`bool`, *optional*, defaults to `False`): Show progress bars.
            generation_kwargs: As in [`generate`]: `guidance_scale`, decoding options. The unknown word is not written
                unless `suppress_tokens` says otherwise. For a model of documents as in
                [`~ldebm_hf.model.topic_words.symbol_topics`].

        Returns:
            [`Explanation`]

        Raises:
            ValueError: If the prior has no symbols; for a model of points or in training mode; without texts, and for
                a number or `word_score` that is not allowed.
        """
        self.require_symbols()
        if self.config.modality == "point":
            raise ValueError("explain reads texts and cannot be asked of a model of points")
        if self.training:
            raise ValueError("model must be in evaluation mode, without dropout: call model.eval()")
        if isinstance(texts, str) or not len(texts) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"texts must be a list of at least one string, got {_shown(texts)}")
        if word_score not in WORD_SCORES:
            raise ValueError(f"word_score must be one of {', '.join(WORD_SCORES)}, got {word_score!r}")
        of_documents = self.config.modality == "document"
        if num_samples is None:
            num_samples = 10 if of_documents else 5
        numbers = {"num_words": num_words, "num_texts": num_texts, "num_samples": num_samples}
        for name, value in {**numbers, "batch_size": batch_size}.items():
            least = 1 if name == "batch_size" else 0
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")

        texts = list(texts)
        if contexts is not None and len(contexts) != len(texts):
            raise ValueError(f"contexts must be one per text, {len(texts)}, got {len(contexts)}")
        reading = self._read_symbols(texts, tokenizer, batch_size, show_progress, contexts)
        counts, words_of_counts, assignments, log_odds, latents = reading
        members = [np.flatnonzero(assignments == symbol) for symbol in range(self.config.num_labels)]
        words = _words_of_symbols(counts, word_score, words_of_counts, max(num_words, NUM_NAMING_WORDS))
        suggested = short_names([[item.word for item in own] for own in words], [len(own) > 0 for own in members])
        if of_documents and num_samples:
            options = {"num_words": num_samples, "generator": generator, **generation_kwargs}
            generated = symbol_topics(self, tokenizer, **options)
        else:
            options = {"suppress_tokens": [self.config.unk_token_id], **generation_kwargs}
            generated = self._write_symbols(
                tokenizer, num_samples, batch_size, generator, show_progress, options, contexts
            )
        symbols = [
            SymbolExplanation(
                id=symbol,
                name=self.config.id2label[symbol],
                suggested_name=suggested[symbol],
                num_texts=len(own),
                share=len(own) / len(texts),
                confidence=float(_probabilities(log_odds[own]).mean()) if len(own) else None,
                words=words[symbol][:num_words],
                closest=_different_texts(texts, own[np.argsort(-log_odds[own], kind="stable")], num_texts),
                generated=generated[symbol],
            )
            for symbol, own in enumerate(members)
        ]
        return Explanation(symbols, word_score, texts, assignments, log_odds, latents, self.config.modality)

    def name_symbols(self, names: Mapping[int | str, str] | Sequence[str]) -> None:
        """
        Give symbols names, which `class_labels` then takes and `save_pretrained` keeps. White space around a name is
        taken off.

        Args:
            names (`Mapping[int | str, str]` or `Sequence[str]`): New names by id or present name, the others staying
                as they are; or a name for every symbol.

        Raises:
            ValueError: If the prior has no symbols, for a symbol that there is not or that is named twice, for names
                that are empty or would not be unique, and for one that is the number of another symbol. The names then
                stay as they are.
        """
        self.require_symbols()
        current = dict(self.config.id2label)
        if not isinstance(names, Mapping):
            if isinstance(names, str) or len(names) != len(current):
                raise ValueError(f"names must be a mapping or a list of {len(current)} strings, got {_shown(names)}")
            names = dict(enumerate(names))
        renamed: dict[int, str] = {}
        for key, name in names.items():
            symbol = self.config.label2id.get(key, key)
            if symbol not in current:
                known = ", ".join(map(repr, self.config.label2id))
                raise ValueError(f"names must be for symbols of 0..{len(current) - 1} or {known}, got {key!r}")
            if symbol in renamed:
                raise ValueError(f"names must name a symbol once, got two for symbol {symbol}: {dict(names)!r}")
            if not isinstance(name, str) or not name.strip():
                raise ValueError(f"names must be strings that are not empty, got {name!r} for symbol {symbol}")
            renamed[int(symbol)] = name.strip()
        taken: dict[str, int] = {}
        for symbol, name in (current | renamed).items():
            if name in taken:
                raise ValueError(f"names must be unique, got {name!r} for the symbols {taken[name]} and {symbol}")
            if symbol in renamed and name in map(str, current) and name != str(symbol):
                raise ValueError(f"names must not be the number of another symbol, got {name!r} for symbol {symbol}")
            taken[name] = symbol
        self.config.id2label = current | renamed
        self.config.label2id = taken

    @torch.no_grad()
    def _read_symbols(
        self,
        texts: list[str],
        tokenizer: PreTrainedTokenizerBase,
        batch_size: int,
        show_progress: bool,
        contexts: Sequence[Sequence[str]] | None,
    ) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray, np.ndarray]:
        """Counts of words `(num_symbols, num_words)`, the words; each text's symbol, log-odds and posterior mean."""
        shape = (self.config.num_labels, self.config.vocab_size)
        counts = np.zeros(shape)
        whole_words = None if is_word_level(tokenizer) else WholeWordCounts(tokenizer)
        reader = TextReader(tokenizer, self.config)
        assignments, log_odds, latents = [], [], []
        for part in _batches(list(range(len(texts))), batch_size, "reading", show_progress):
            batch = reader([texts[i] for i in part]).to(self.device)
            given = {} if contexts is None else encode_contexts([contexts[i] for i in part], tokenizer, self.device)
            posterior = self.encode(batch["input_ids"], batch["attention_mask"], **given)
            logits = posterior.symbol_logits.double().cpu()
            own, symbol = logits.max(-1)
            others = logits.scatter(1, symbol[:, None], -torch.inf).logsumexp(-1)
            is_token = batch["attention_mask"].cpu().bool()
            cells = (symbol[:, None] * shape[1] + batch["input_ids"].cpu())[is_token]
            counts += np.bincount(cells.numpy(), minlength=counts.size).reshape(shape)
            if whole_words is not None:
                whole_words.add(batch["input_ids"], symbol.tolist())
            assignments.append(symbol.numpy())
            log_odds.append((own - others).numpy())
            latents.append(posterior.posterior_mean.float().cpu().numpy())
        reader.warn()
        counts[:, [*tokenizer.all_special_ids, self.config.unk_token_id]] = 0
        words = tokenizer.convert_ids_to_tokens(range(shape[1]))
        if whole_words is not None:
            counts, words = whole_words.table(shape[0])
        return counts, words, np.concatenate(assignments), np.concatenate(log_odds), np.concatenate(latents)

    def _write_symbols(
        self, tokenizer, num_samples, batch_size, generator, show_progress, options, contexts
    ) -> list[list[str]]:
        """Texts written for each symbol."""
        num_symbols = self.config.num_labels
        asked = [symbol for symbol in range(num_symbols) for _ in range(num_samples)]
        written = []
        of_samples = []
        if contexts is not None and num_samples:  # the same ones for every symbol
            spaced = np.linspace(0, len(contexts) - 1, num_samples).round().astype(int)
            of_samples = [contexts[i] for i in spaced] * num_symbols
        for part in _batches(list(range(len(asked))), batch_size, "writing", show_progress):
            given = {}
            if of_samples:
                given = encode_contexts([of_samples[i] for i in part], tokenizer, self.device)
            labels = [asked[i] for i in part]
            ids = self.generate(class_labels=labels, generator=generator, **given, **options)
            written += tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [written[symbol * num_samples : (symbol + 1) * num_samples] for symbol in range(num_symbols)]


def _batches(items: list, batch_size: int, verb: str, show_progress: bool) -> Iterator[list]:
    with logging.tqdm(total=len(items), desc=verb, unit="text", disable=not show_progress) as bar:
        for start in range(0, len(items), batch_size):
            part = items[start : start + batch_size]
            yield part
            bar.update(len(part))


def _words_of_symbols(
    counts: np.ndarray, word_score: WordScore, words_of_counts: Sequence[str], number: int
) -> list[list[DistinctiveWord]]:
    scores = WORD_SCORES[word_score](counts)
    words = []
    for row, count, columns in zip(scores, counts, top_words(scores, counts, number), strict=True):
        own = [
            DistinctiveWord(words_of_counts[column], float(row[column]), int(count[column]))
            for column in columns.tolist()
        ]
        if word_score == "ctfidf":  # which by itself ranks frequent words high, telling or not
            telling = set(telling_words([item.word for item in own]))
            own = [item for item in own if item.word in telling]
        words.append(own)
    return words


def _probabilities(log_odds: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -log_odds))


def _different_texts(texts: list[str], order: np.ndarray, number: int) -> list[str]:
    """The first of them, no two of which differ in case or space alone."""
    chosen: dict[str, str] = {}
    for index in order:
        if len(chosen) == number:
            break
        chosen.setdefault(" ".join(texts[index].lower().split()), texts[index])
    return list(chosen.values())


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
