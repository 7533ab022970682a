"""What the symbols of a trained model stand for: names given or suggested, and the report beside the checkpoint."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from ..baselines.topic_models import compare_with_lda
from ..data import NO_LABEL, Corpus, Split
from ..model.configuration_ldebm import LDEBMConfig
from ..model.explanation import Explanation
from ..model.modalities import MODALITIES
from ..model.pipeline_ldebm import LDEBMPipeline
from ..reports.saved_symbols import SymbolChanges, save_symbols
from ..reports.symbol_report import make_report, without_texts, write_report
from ..reports.tables import text_table
from ..training.data_settings import DataSettings
from ..training.publishing import CARD, write_card
from ..training.saved_runs import find_checkpoint, path_of_source, settings_of, with_given_paths

NUM_WORDS_PRINTED = 6
ONE_SYMBOL_ADVICE = (
    "One symbol has all texts, so it says nothing about them. Train for more steps, with a larger "
    "classification_weight, with clusters (--clustering.enabled true) or those of words "
    "(--clustering.features words, or word_classes where some have labels; with a pretrained encoder encoder, or "
    "encoder_classes)."
)
DATA_OPTIONS = ("data_dir", "text_column", "label_column", "attribute_columns")


@dataclass(frozen=True)
class ExplanationSettings:
    """
    Which texts explain the symbols of a model, and what the report shows.

    Args:
        data (`str`, *optional*): Source of the texts, as `DataSettings.source`; default: what the checkpoint was
            trained on. If that is a file, it is read only if it is given here.
        validation_file (`str`, *optional*): The file of validation examples, likewise.
        data_dir, text_column, label_column, attribute_columns: As in `DataSettings`; default: as in training.
        split (`"train"`, `"validation"` or `"all"`, *optional*): Which of the texts; default: `"train"`, with other
            `data` than in training `"all"`.
        max_texts (`int`, *optional*, defaults to 20000): If there are more texts, this number of them is drawn.
        num_words, num_texts (`int`, *optional*, defaults to 10 and 5): Words and closest texts shown per symbol.
        num_samples (`int`, *optional*): Texts to write per symbol; default: 5, of documents 10 words.
        guidance_scale, min_label_probability (`float`, *optional*): As in [`~LDEBMModel.generate`].
        words (`"log_odds"` or `"ctfidf"`, *optional*, defaults to `"log_odds"`): How words are scored.
        projection (`"pca"` or `"umap"`, *optional*, defaults to `"pca"`): How the map of latents is made.
        names (`list[str]`, *optional*): Names to give, or a file of names and of symbols to merge, as
            [`SymbolChanges.read`] takes them.
        merge (`list[list[str]]`, *optional*): Groups of symbols to merge, likewise; ids are those before.
        auto_names (`bool`, *optional*, defaults to `False`): Give symbols without a name the suggested one.
        no_texts (`bool`, *optional*, defaults to `False`): Quote no texts of the data in the report.
        output (`str`, *optional*): The report's file; default: `report.html` in the checkpoint's folder, or in the
            working folder for a checkpoint on the Hub.
        batch_size (`int`, *optional*, defaults to 256): Texts read at a time.
        seed (`int`, *optional*, defaults to 0): Seed of draws.
        trust_remote_code (`bool`, *optional*, defaults to `False`): As in [`LDEBMModel.from_pretrained`].
    """

    data: str | None = None
    validation_file: str | None = None
    data_dir: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    attribute_columns: list[str] | None = None
    split: Literal["train", "validation", "all"] | None = None
    max_texts: int = 20_000
    num_words: int = 10
    num_texts: int = 5
    num_samples: int | None = None
    guidance_scale: float | None = None
    min_label_probability: float | None = None
    words: str = "log_odds"
    projection: str = "pca"
    names: list[str] | None = None
    merge: list[list[str]] | None = None
    auto_names: bool = False
    no_texts: bool = False
    output: str | None = None
    batch_size: int = 256
    seed: int = 0
    trust_remote_code: bool = False


@dataclass(frozen=True)
class CheckpointExplanation:
    """
    Args:
        explanation ([`Explanation`]): What the symbols stand for.
        report (`dict`): The content of `report.json`.
        files (`tuple[Path, Path]`): The report, `.html` and `.json`.
        answers_dialogues (`bool`): Whether the model answers in dialogues.
        removed (`tuple[str, ...]`): Files with scores of the symbols before some were merged, which were removed.
        num_available (`int`): Number of texts from which those of the explanation were drawn, or that they all are.
    """

    explanation: Explanation
    report: dict[str, Any]
    files: tuple[Path, Path]
    answers_dialogues: bool
    removed: tuple[str, ...] = ()
    num_available: int = 0

    def describe(self) -> str:
        """Return a table of the symbols for the terminal, the most frequent first, with a summary below."""
        lines = [symbol_table(self.explanation), "", usage_summary(self.explanation)]
        if self.explanation.num_used == 1 < len(self.explanation.symbols):
            lines.append(ONE_SYMBOL_ADVICE)
        if self.report.get("topics"):
            lines.append(topic_summary(self.report["topics"]))
        if self.num_available > len(self.explanation.texts):
            lines.append(f"The texts were drawn at random from {self.num_available:,}: max_texts may be larger.")
        if self.removed:
            lines.append(f"Removed {', '.join(self.removed)}: scores of the symbols before some were merged.")
        return "\n".join(lines)


def explain_checkpoint(
    checkpoint: str, settings: ExplanationSettings | None = None, title: str | None = None
) -> CheckpointExplanation:
    """
    Explain the symbols of a model by the texts it has learned from or by others, and write a report.

    Names that are given and symbols that are merged go into the checkpoint's `config.json`; its model card, if it has
    one, is written anew.

    Args:
        checkpoint (`str`): Folder or Hub id; symbols can be named and merged only in a folder.
        settings ([`ExplanationSettings`], *optional*): Texts and report.
        title (`str`, *optional*): Title of the report; default: the checkpoint.

    Raises:
        FileNotFoundError: If there is no such checkpoint, or its texts are missing.
        ValueError: If the model has no symbols or is of points, or a name or setting is wrong.
    """
    settings = settings or ExplanationSettings()

    # 1. The model, what is to change of its symbols, and texts.
    find_checkpoint(checkpoint)
    if not LDEBMConfig.from_pretrained(checkpoint).modality_class.reads_texts:
        raise ValueError(f"{checkpoint} holds a model of points: examples/synthetic.py draws its symbols")
    pipe = LDEBMPipeline.from_pretrained(checkpoint, trust_remote_code=settings.trust_remote_code)
    model = pipe.model
    model.require_symbols()
    changes = SymbolChanges.read(settings.names, settings.merge)
    changes.apply(model)
    data = data_to_read(checkpoint, settings)
    corpus = data.load_corpus()
    chosen = settings.split or ("all" if is_other_data(checkpoint, settings) else "train")
    available = texts_of(corpus, chosen)
    split = draw_texts(available, settings.max_texts, settings.seed)

    # 2. What the symbols stand for.
    explanation = explain_symbols(pipe, split, settings)
    if settings.auto_names:
        model.name_symbols(suggested_names(explanation))
        explanation = with_names(explanation, model.config.id2label)
    topics = compare_topics(explanation, corpus, pipe.tokenizer, settings)

    # 3. The report, and names and merged symbols for good.
    report = make_report(
        explanation,
        title=title or f"Symbols of {checkpoint}",
        details={
            "texts": f"{corpus.name}, {chosen}{described_draw(split, available)}",
            "terms of the data": corpus.license,
        },
        attributes=known_classes(corpus, split),
        topics=topics,
        projection=settings.projection,
        seed=settings.seed,
    )
    if settings.no_texts:
        report = without_texts(report)
    folder = Path(checkpoint)
    files = write_report(report, settings.output or (folder / "report.html" if folder.is_dir() else "report.html"))
    removed = save_symbols(folder, model) if changes or settings.auto_names else []
    if (folder / CARD).is_file():
        write_card(folder)
    answers_dialogues = bool(model.config.context_size)
    return CheckpointExplanation(explanation, report, files, answers_dialogues, tuple(removed), len(available))


def is_other_data(checkpoint: str, settings: ExplanationSettings) -> bool:
    """Return whether the texts asked for are others than those that the checkpoint was trained on."""
    trained_with = settings_of(checkpoint)
    if settings.data is None or trained_with is None:
        return settings.data is not None
    named = trained_with.data
    is_same_file = Path(path_of_source(named)).resolve() == Path(settings.data).resolve()
    return settings.data != named.source and not is_same_file


def data_to_read(checkpoint: str, settings: ExplanationSettings) -> DataSettings:
    """Return where the texts come from, with all labels that the data have."""
    if is_other_data(checkpoint, settings):
        data = DataSettings(source=settings.data, validation_file=settings.validation_file)
    else:
        trained_with = settings_of(checkpoint)
        if trained_with is None:
            raise ValueError(f"{checkpoint} does not say what it was trained on (settings.yaml): give --data")
        data = with_given_paths(checkpoint, trained_with.data, settings.data, settings.validation_file)
    given = {name: getattr(settings, name) for name in DATA_OPTIONS if getattr(settings, name) is not None}
    return dataclasses.replace(data, **given, label_fraction=1.0, label_count=None)


def texts_of(corpus: Corpus, split: str) -> Split:
    """Return the texts of a split, or of training and validation together for `"all"`.

    The training texts of a stream are represented by its sample.
    """
    train = corpus.train if isinstance(corpus.train, Split) else corpus.train.sample
    if split == "train":
        return train
    if split == "validation":
        return corpus.validation
    held_out = corpus.validation
    attributes = {name: [*ids, *held_out.attributes[name]] for name, ids in train.attributes.items()}
    contexts = None if train.contexts is None else [*train.contexts, *held_out.contexts]
    return Split([*train.texts, *held_out.texts], [*train.labels, *held_out.labels], attributes, contexts)


def draw_texts(split: Split, number: int, seed: int) -> Split:
    """Return the whole split, or `number` texts drawn from it if it has more."""
    if len(split) <= number:
        return split
    return split.select(np.sort(np.random.default_rng(seed).choice(len(split), number, replace=False)).tolist())


def described_draw(split: Split, available: Split) -> str:
    """Say of how many texts those of `split` were drawn; empty if they are all that there are."""
    return f" ({len(split):,} drawn from {len(available):,})" if len(split) < len(available) else ""


def explain_symbols(pipe: LDEBMPipeline, split: Split, settings: ExplanationSettings) -> Explanation:
    """Let the model read the texts and write for its symbols."""
    given = {name: getattr(settings, name) for name in ("guidance_scale", "min_label_probability")}
    return pipe.explain(
        split.texts,
        contexts=split.contexts,
        num_words=settings.num_words,
        num_texts=settings.num_texts,
        num_samples=settings.num_samples,
        word_score=settings.words,
        batch_size=settings.batch_size,
        generator=torch.Generator().manual_seed(settings.seed),
        show_progress=True,
        **{name: value for name, value in given.items() if value is not None},
    )


def known_classes(corpus: Corpus, split: Split) -> dict[str, list[str | None]]:
    """Return each text's label and attributes by name, `None` where unknown."""
    classes = {"label": (split.labels, corpus.label_names)} if corpus.label_names else {}
    classes |= {name: (ids, corpus.attribute_names[name]) for name, ids in split.attributes.items()}
    return {
        name: [None if class_id == NO_LABEL else names[class_id] for class_id in ids]
        for name, (ids, names) in classes.items()
    }


def compare_topics(
    explanation: Explanation, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, settings: ExplanationSettings
) -> dict[str, Any] | None:
    """Score the words that a model of documents writes for its symbols beside LDA's topics.

    Returns `None` for other models, or with fewer than two words per symbol.
    """
    topics = [symbol.generated for symbol in explanation.symbols if symbol.num_texts]
    if not MODALITIES[explanation.modality].is_bag_of_words or len(topics[0]) < 2:
        return None
    train, both = (draw_texts(texts_of(corpus, name), settings.max_texts, settings.seed) for name in ("train", "all"))
    return compare_with_lda(topics, train.texts, both.texts, tokenizer, seed=settings.seed)


def suggested_names(explanation: Explanation) -> dict[str, str]:
    """Return the suggested names, by present name, of those symbols that have texts and no name of their own yet."""
    taken = {symbol.name for symbol in explanation.symbols}
    return {
        symbol.name: symbol.suggested_name
        for symbol in explanation.symbols
        if symbol.num_texts and symbol.name == f"LABEL_{symbol.id}" and symbol.suggested_name not in taken
    }


def with_names(explanation: Explanation, names: dict[int, str]) -> Explanation:
    """Return the explanation with these names of symbols."""
    symbols = [dataclasses.replace(symbol, name=names[symbol.id]) for symbol in explanation.symbols]
    return dataclasses.replace(explanation, symbols=symbols)


def symbol_table(explanation: Explanation) -> str:
    """Return a table of the symbols for the terminal, the most frequent first."""
    symbols = sorted(explanation.symbols, key=lambda symbol: -symbol.num_texts)
    words = [[item.word for item in symbol.words] for symbol in symbols]
    if MODALITIES[explanation.modality].is_bag_of_words and symbols[0].generated:
        words = [symbol.generated for symbol in symbols]
    columns = {
        "symbol": [str(symbol.id) for symbol in symbols],
        "name": [symbol.name for symbol in symbols],
        "share": [f"{symbol.share:.1%}" for symbol in symbols],
        "sure": ["-" if symbol.confidence is None else f"{symbol.confidence:.0%}" for symbol in symbols],
        "suggested name": [symbol.suggested_name for symbol in symbols],
        "words": [" ".join(own[:NUM_WORDS_PRINTED]) for own in words],
    }
    return text_table(columns)


def usage_summary(explanation: Explanation) -> str:
    """Say how many texts were read, and how many symbols are used."""
    used = f"{explanation.num_used} of {len(explanation.symbols)} symbols used"
    return f"{len(explanation.texts):,} texts, {used}, entropy {explanation.usage_entropy:.2f} nats"


def topic_summary(topics: dict[str, Any]) -> str:
    """Say how good a model of documents and LDA are as topic models."""
    own, lda = (f"{topics[name]['coherence']:.3f}, {topics[name]['diversity']:.0%}" for name in ("own", "lda"))
    return (
        f"{topics['num_words']} words written per symbol: coherence (NPMI) and share of different words {own}; "
        f"of LDA {lda}; on {topics['num_texts']:,} texts"
    )
