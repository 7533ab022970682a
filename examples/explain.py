"""Say what a model's symbols are about: a table here, and a report to look at (report.html, report.json).

    python examples/explain.py outputs/demo                                        # on the corpus it was trained on
    python examples/explain.py outputs/demo --names 3="refund request" 5=weather   # or --names names.json
    python examples/explain.py outputs/news --auto_names                           # names made of each symbol's words
    python examples/explain.py someone/model --data my.csv --text_column body --attribute_columns topic,author

Each symbol has its share of the texts, the words that set it apart, the sentences that the model is surest have it,
sentences that it writes for it, and a suggested name. A model of documents writes words, and these are scored beside
topics of LDA. Labels and attributes of the texts, if there are any, are shown
beside it; nothing is learned from them. Names that are given go into the checkpoint's config.json, and from then on
`generate(class_labels="refund request")` takes them.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ldebm_hf import LDEBMModel
from ldebm_hf.baselines.topic_models import compare_with_lda
from ldebm_hf.data import NO_LABEL, Corpus, Split
from ldebm_hf.files.atomic import write_text
from ldebm_hf.model.explanation import Explanation
from ldebm_hf.reports.symbol_report import make_report, without_texts, write_report
from ldebm_hf.reports.tables import text_table
from ldebm_hf.training.publishing import CARD, write_card
from ldebm_hf.training.saved_runs import find_checkpoint, settings_of
from ldebm_hf.training.settings import DataSettings

DATA_OPTIONS = ("data_dir", "text_column", "label_column", "attribute_columns")
NUM_WORDS_PRINTED = 6


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="folder or Hub id")
    parser.add_argument("--data", help="as in examples/train.py; default: what the checkpoint was trained on")
    parser.add_argument("--data_dir", help="folder of its release files, or that relative paths start from")
    parser.add_argument("--text_column", help="column that holds the text (default: text)")
    parser.add_argument("--label_column", help="column that holds labels")
    parser.add_argument("--attribute_columns", type=lambda text: text.split(","), help="columns of further classes")
    parser.add_argument(
        "--split",
        choices=("train", "validation", "all"),
        help="which of its texts; all: both together (default: train, with --data all)",
    )
    parser.add_argument("--max_texts", type=int, default=20000, help="of more, so many at random (default 20000)")
    parser.add_argument("--num_words", type=int, default=10, help="words per symbol (default 10)")
    parser.add_argument("--num_texts", type=int, default=5, help="closest texts per symbol (default 5)")
    parser.add_argument("--num_samples", type=int, help="sentences (5) or words of documents (10) per symbol")
    parser.add_argument("--guidance_scale", type=float, help="how much these insist on it; default: the model's")
    parser.add_argument("--min_label_probability", type=float, help="write again what the model reads so with less")
    parser.add_argument("--no_texts", action="store_true", help="quote no texts of the data, to give the report away")
    parser.add_argument("--words", choices=("log_odds", "ctfidf"), default="log_odds", help="how words are scored")
    parser.add_argument("--projection", choices=("pca", "umap"), default="pca", help="of the map; umap: umap-learn")
    parser.add_argument("--names", nargs="+", help="names to give: a JSON file, or SYMBOL=NAME ...")
    parser.add_argument("--auto_names", action="store_true", help="give symbols without a name the suggested one")
    parser.add_argument("--output", help="default: report.html in the checkpoint, or here for one from the Hub")
    parser.add_argument("--batch_size", type=int, default=256, help="texts at a time (default 256)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.max_texts < 1:
        parser.error(f"--max_texts must be at least 1, got {options.max_texts}")
    if (options.names or options.auto_names) and not Path(options.checkpoint).is_dir():
        parser.error("--names and --auto_names write into the checkpoint, which must be a folder")
    if options.output and not options.output.endswith(".html"):
        parser.error(f"--output must end in .html, got {options.output!r}")
    return options


def main(arguments: list[str] | None = None) -> None:
    # 1. The model, its new names, and texts.
    options = parse_arguments(arguments)
    find_checkpoint(options.checkpoint)
    model = LDEBMModel.from_pretrained(options.checkpoint).to("cuda" if torch.cuda.is_available() else "cpu")
    model.require_symbols()
    if model.config.modality == "point":
        raise ValueError(f"{options.checkpoint} holds a model of points: examples/synthetic.py draws its symbols")
    tokenizer = AutoTokenizer.from_pretrained(options.checkpoint)
    if options.names:
        model.name_symbols(read_names(options.names, model.config.label2id))
    corpus = load_texts(options)
    chosen = options.split or ("all" if options.data else "train")
    split = at_most(split_of(corpus, chosen), options.max_texts, options.seed)

    # 2. What the symbols are about.
    given = {name: getattr(options, name) for name in ("guidance_scale", "min_label_probability")}
    explanation = model.explain(
        split.texts,
        tokenizer,
        contexts=split.contexts,
        num_words=options.num_words,
        num_texts=options.num_texts,
        num_samples=options.num_samples,
        word_score=options.words,
        batch_size=options.batch_size,
        generator=torch.Generator().manual_seed(options.seed),
        show_progress=True,
        **{name: value for name, value in given.items() if value is not None},
    )
    if options.auto_names:
        model.name_symbols(suggestions(explanation))
        explanation = renamed(explanation, model.config.id2label)

    topics = topics_beside_lda(explanation, corpus, tokenizer, options)

    # 3. The report, and the names for good.
    report = make_report(
        explanation,
        title=f"Symbols of {options.checkpoint}",
        details={"texts": f"{corpus.name}, {chosen}", "terms of the data": corpus.license},
        attributes=known_classes(corpus, split),
        topics=topics,
        projection=options.projection,
        seed=options.seed,
    )
    if options.no_texts:
        report = without_texts(report)
    output = options.output or Path(options.checkpoint if Path(options.checkpoint).is_dir() else "", "report.html")
    files = write_report(report, output)
    if options.names or options.auto_names:
        save_names(Path(options.checkpoint, "config.json"), model.config.id2label)
    if Path(options.checkpoint, CARD).is_file():
        write_card(Path(options.checkpoint))
    print_symbols(explanation)
    if topics:
        print_topic_scores(topics)
    print(f"\nWrote {files[0]} and {files[1]}. Next:")
    if not options.names and not options.auto_names and Path(options.checkpoint).is_dir():
        print(f"  python examples/explain.py {options.checkpoint} --names 0='a name of yours'   # or --auto_names")
    some = max(explanation.symbols, key=lambda symbol: symbol.num_texts)
    if explanation.modality == "document":
        print(f'  python examples/classify.py {options.checkpoint} --text "a text of your own"')
        return
    script = "respond.py" if model.config.context_size else "generate.py"
    print(f"  python examples/{script} {options.checkpoint} --class_labels {some.name!r} --num_samples 10")


def read_names(given: list[str], known: dict[str, int]) -> dict[int | str, str] | list[str]:
    """Names by symbol, from a JSON file or from `SYMBOL=NAME`; a symbol is an id or its present name."""
    if len(given) == 1 and given[0].endswith(".json"):
        names = json.loads(Path(given[0]).read_text(encoding="utf-8"))
        if isinstance(names, list):
            return names
        if not isinstance(names, dict):
            raise ValueError(f"{given[0]} must hold an object or a list of names, got {type(names).__name__}")
        pairs = list(names.items())
    else:
        unreadable = [text for text in given if "=" not in text]
        if unreadable:
            raise ValueError(f"--names must be one .json file or SYMBOL=NAME, got {unreadable[0]!r}")
        pairs = [text.split("=", 1) for text in given]
    return {int(symbol) if symbol not in known and symbol.isdecimal() else symbol: name for symbol, name in pairs}


def load_texts(options: argparse.Namespace) -> Corpus:
    """The corpus asked for, or the one of the checkpoint's settings, with every label that is known."""
    settings = None if options.data else settings_of(options.checkpoint)
    if settings is None and not options.data:
        raise ValueError(f"{options.checkpoint} does not say what it was trained on (settings.yaml): give --data")
    data = DataSettings(source=options.data) if settings is None else settings.data
    given = {name: getattr(options, name) for name in DATA_OPTIONS if getattr(options, name) is not None}
    return dataclasses.replace(data, **given, label_fraction=1.0, label_count=None).load_corpus()


def split_of(corpus: Corpus, name: str) -> Split:
    """Its texts; of a stream the sample that stands for its training texts."""
    train = corpus.train if isinstance(corpus.train, Split) else corpus.train.sample
    if name != "all":
        return train if name == "train" else corpus.validation
    held_out = corpus.validation
    attributes = {name: [*ids, *held_out.attributes[name]] for name, ids in train.attributes.items()}
    contexts = None if train.contexts is None else [*train.contexts, *held_out.contexts]
    return Split([*train.texts, *held_out.texts], [*train.labels, *held_out.labels], attributes, contexts)


def at_most(split: Split, number: int, seed: int) -> Split:
    if len(split) <= number:
        return split
    return split.select(np.sort(np.random.default_rng(seed).choice(len(split), number, replace=False)).tolist())


def known_classes(corpus: Corpus, split: Split) -> dict[str, list[str | None]]:
    """Each text's label and attributes by name, `None` where unknown."""
    classes = {"label": (split.labels, corpus.label_names)} if corpus.label_names else {}
    classes |= {name: (ids, corpus.attribute_names[name]) for name, ids in split.attributes.items()}
    return {
        name: [None if class_id == NO_LABEL else names[class_id] for class_id in ids]
        for name, (ids, names) in classes.items()
    }


def topics_beside_lda(
    explanation: Explanation, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, options: argparse.Namespace
) -> dict[str, Any] | None:
    """Scores of what a model of documents writes for the symbols that have texts; none without two words."""
    topics = [symbol.generated for symbol in explanation.symbols if symbol.num_texts]
    if explanation.modality != "document" or len(topics[0]) < 2:
        return None
    train, both = (at_most(split_of(corpus, name), options.max_texts, options.seed) for name in ("train", "all"))
    return compare_with_lda(topics, train.texts, both.texts, tokenizer, seed=options.seed)


def suggestions(explanation: Explanation) -> dict[int, str]:
    """The suggested names of the symbols that have texts and no name of their own yet."""
    taken = {symbol.name for symbol in explanation.symbols}
    return {
        symbol.id: symbol.suggested_name
        for symbol in explanation.symbols
        if symbol.num_texts and symbol.name == f"LABEL_{symbol.id}" and symbol.suggested_name not in taken
    }


def renamed(explanation: Explanation, names: dict[int, str]) -> Explanation:
    symbols = [dataclasses.replace(symbol, name=names[symbol.id]) for symbol in explanation.symbols]
    return dataclasses.replace(explanation, symbols=symbols)


def save_names(config: Path, names: dict[int, str]) -> None:
    """Put the names into a saved configuration and leave the rest of the file as it is."""
    values = json.loads(config.read_text(encoding="utf-8"))
    values["id2label"] = {str(symbol): name for symbol, name in names.items()}
    values["label2id"] = {name: symbol for symbol, name in names.items()}
    write_text(config, json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def print_symbols(explanation: Explanation) -> None:
    symbols = sorted(explanation.symbols, key=lambda symbol: -symbol.num_texts)
    sure = ["-" if symbol.confidence is None else f"{symbol.confidence:.0%}" for symbol in symbols]
    words = [[item.word for item in symbol.words] for symbol in symbols]
    if explanation.modality == "document" and symbols[0].generated:
        words = [symbol.generated for symbol in symbols]
    columns = {
        "symbol": [str(symbol.id) for symbol in symbols],
        "name": [symbol.name for symbol in symbols],
        "share": [f"{symbol.share:.1%}" for symbol in symbols],
        "sure": sure,
        "suggested name": [symbol.suggested_name for symbol in symbols],
        "words": [" ".join(own[:NUM_WORDS_PRINTED]) for own in words],
    }
    print(text_table(columns))
    used = f"{explanation.num_used} of {len(symbols)} symbols used"
    print(f"\n{len(explanation.texts):,} texts, {used}, entropy {explanation.usage_entropy:.2f} nats")
    if explanation.num_used == 1 < len(symbols):
        print(
            "One symbol has all texts, so it says nothing about them. Train for more steps, with a larger "
            "classification_weight, with clusters (--clustering.enabled true) or those of words "
            "(--clustering.features words, or word_classes where some have labels)."
        )


def print_topic_scores(topics: dict[str, Any]) -> None:
    own, lda = (f"{topics[name]['coherence']:.3f}, {topics[name]['diversity']:.0%}" for name in ("own", "lda"))
    print(
        f"{topics['num_words']} words written per symbol: coherence (NPMI) and share of different words {own}; "
        f"of LDA {lda}; on {topics['num_texts']:,} texts"
    )


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
