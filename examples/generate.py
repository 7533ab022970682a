"""Write sentences with a trained model: for its symbols, from the prior, or again from given text.

    python examples/generate.py                               # with the checkpoint that comes with the page
    python examples/generate.py outputs/demo                                     # some for every symbol
    python examples/generate.py outputs/demo --class_labels weather refund --num_samples 10 --guidance_scale 3
    python examples/generate.py outputs/demo --min_label_probability 0.9         # none that the model reads otherwise
    python examples/generate.py outputs/demo --no_symbols --num_samples 20 --do_sample --temperature 0.8
    python examples/generate.py outputs/demo --text "please play some jazz" "will it rain"
    python examples/generate.py outputs/demo --num_samples 1000000 --output_file sentences.jsonl     # or .parquet

Beside each sentence stands the symbol that was asked for, the one that the model reads back from it, and the verdict
of a check that is not part of the model: a bag-of-words classifier fitted on labelled texts that the model never saw
(the test split, or without one half of the validation split), where the checkpoint says what it was trained on. A
model whose prior has no symbols writes from its prior.

With `--output_file` sentences go there instead, each with the symbol asked for. A run that was killed goes on when the
same command is given again.
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

import torch
from transformers import AutoTokenizer

from ldebm_hf import LDEBMModel
from ldebm_hf.data import Corpus, Split
from ldebm_hf.files.writing import write_samples
from ldebm_hf.model.text_reading import decode_words
from ldebm_hf.reports.text_table import text_table
from ldebm_hf.training.saved_runs import find_checkpoint, settings_of, shipped_checkpoint

SPACE = Path(__file__).resolve().parents[1] / "spaces_app"
FILE_OPTIONS = ("batch_size", "overwrite")  # of --output_file


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", help="folder or Hub id; default: the one that comes with the page")
    parser.add_argument(
        "--class_labels", nargs="+", help="names or ids of symbols; default: all, but none for --output_file"
    )
    parser.add_argument("--no_symbols", action="store_true", help="sample the prior without a symbol")
    parser.add_argument("--num_samples", type=int, default=4, help="sentences, per symbol if any (default 4)")
    parser.add_argument("--guidance_scale", type=float, help="how much to insist on the symbol; default: the model's")
    parser.add_argument("--min_label_probability", type=float, help="write again what the model reads so with less")
    parser.add_argument("--text", nargs="+", help="texts to read and write again; nothing else is done")
    parser.add_argument("--do_sample", action="store_true", help="sample tokens instead of taking the likeliest")
    parser.add_argument("--temperature", type=float, help="of --do_sample (default 1)")
    parser.add_argument("--num_beams", type=int, default=1, help="beam search (default 1: greedy)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output_file", help="write to this .jsonl or .parquet file; nothing else is done")
    unset = {"default": argparse.SUPPRESS}
    parser.add_argument("--batch_size", type=int, **unset, help="sentences at a time for it (default 1024)")
    parser.add_argument("--overwrite", action="store_true", **unset, help="replace it, or another request under way")
    options = parser.parse_args(arguments)
    if options.no_symbols and options.class_labels:
        parser.error("--no_symbols leaves nothing for --class_labels to choose")
    if options.min_label_probability is not None and options.no_symbols:
        parser.error("--no_symbols leaves nothing for --min_label_probability to read")
    if options.temperature is not None and not options.do_sample:
        parser.error("--temperature needs --do_sample")
    if options.text and options.output_file:
        parser.error("--text prints what it reads and leaves nothing for --output_file to hold")
    for name in FILE_OPTIONS:
        if name in options and not options.output_file:
            parser.error(f"--{name} needs --output_file")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    options.checkpoint = options.checkpoint or os.path.relpath(shipped_checkpoint(SPACE))
    find_checkpoint(options.checkpoint)
    model = LDEBMModel.from_pretrained(options.checkpoint).to("cuda" if torch.cuda.is_available() else "cpu")
    if model.config.modality == "point":
        raise ValueError(f"{options.checkpoint} holds a model of points: python examples/synthetic.py draws from it")
    if model.config.context_size:
        raise ValueError(f"{options.checkpoint} holds a model with contexts: examples/respond.py answers with it")
    tokenizer = AutoTokenizer.from_pretrained(options.checkpoint)
    if options.text:
        print_readings(model, tokenizer, options.text)
        return

    # 1. What to ask for, and sentences for it.
    decoding = {"num_beams": options.num_beams} if model.modality.writes_in_turn or options.num_beams != 1 else {}
    if options.do_sample:  # else as the model has it: one without a latent samples
        decoding["do_sample"] = True
    for name in ("temperature", "guidance_scale", "min_label_probability"):
        if getattr(options, name) is not None:
            decoding[name] = getattr(options, name)
    names = options.class_labels or (list(model.config.label2id) if model.has_symbols else [])
    if options.output_file:
        write_samples(
            model,
            tokenizer,
            options.output_file,
            options.num_samples,
            class_labels=options.class_labels,
            seed=options.seed,
            **{name: value for name, value in vars(options).items() if name in FILE_OPTIONS},
            **decoding,
        )
        return
    symbols = None
    if names and not options.no_symbols:
        symbols = model.symbol_ids(names).repeat_interleave(options.num_samples)
    token_ids = model.generate(
        class_labels=symbols,
        num_samples=options.num_samples if symbols is None else None,
        generator=torch.Generator().manual_seed(options.seed),
        **decoding,
    )
    sentences = tokenizer.batch_decode(token_ids, skip_special_tokens=True)
    words = decode_words(tokenizer, token_ids)  # as the corpus has them, for the held-out check

    # 2. The model's own reading of them, and the held-out check's.
    id2label = model.config.id2label
    asked = [None] * len(sentences) if symbols is None else symbols.tolist()
    columns = {"asked for": ["-" if symbol is None else id2label[symbol] for symbol in asked]}
    verdicts: dict[str, list[int | None]] = {}
    if model.has_symbols:
        verdicts["model reads"] = read_symbols(model, tokenizer, sentences)
        columns["model reads"] = [id2label[symbol] for symbol in verdicts["model reads"]]
    corpus = training_corpus(options.checkpoint)
    if corpus is not None and corpus.label_names:
        labels = held_out_check(corpus, words)
        columns["held-out check"] = ["?" if label is None else corpus.label_names[label] for label in labels]
        verdicts["held-out check"] = symbols_of_labels(labels, corpus, model.config.label2id)
    print(text_table(columns | {"sentence": sentences}))
    if symbols is not None:
        for judge, read in verdicts.items():
            hits = sum(one == other for one, other in zip(asked, read, strict=True))
            print(f"{judge}: as asked for in {hits} of {len(asked)}")
    print(f"{len(set(sentences))} of {len(sentences)} sentences are distinct")

    # 3. A reconstruction or two.
    has_latent = model.config.prior != "none"
    if corpus is not None and has_latent:
        print("\nTexts of the validation split, written again from their latents:")
        print_readings(model, tokenizer, corpus.validation.texts[:3])
    print("\nNext:")
    if model.has_symbols:
        some = names[0] if symbols is not None else next(iter(id2label.values()))
        print(f"  python examples/generate.py {options.checkpoint} --class_labels {some!r} --num_samples 10")
    print(f"  python examples/generate.py {options.checkpoint} --no_symbols --num_samples 10 --do_sample")
    if has_latent:
        print(f'  python examples/generate.py {options.checkpoint} --text "a text of your own"')


def read_symbols(model: LDEBMModel, tokenizer, texts: list[str]) -> list[int]:
    batch = tokenizer(texts, return_tensors="pt", padding=True, truncation=True).to(model.device)
    return model.infer_symbols(**batch).argmax(-1).tolist()


def print_readings(model: LDEBMModel, tokenizer, texts: list[str]) -> None:
    batch = tokenizer(texts, return_tensors="pt", padding=True, truncation=True).to(model.device)
    copies = tokenizer.batch_decode(model.generate(**batch), skip_special_tokens=True)
    notes = [""] * len(texts)
    if model.has_symbols:
        probabilities, symbols = (values.tolist() for values in model.infer_symbols(**batch).max(-1))
        names = [model.config.id2label[symbol] for symbol in symbols]
        notes = [f"   [{name}, {probability:.0%}]" for name, probability in zip(names, probabilities, strict=True)]
    for text, copy, note in zip(texts, copies, notes, strict=True):
        print(f"  {text}\n    -> {copy}{note}")


def training_corpus(checkpoint: str) -> Corpus | None:
    """The corpus that a local checkpoint's recipe names, if it can still be read and is no stream."""
    settings = settings_of(checkpoint)
    if settings is None:
        return None
    if settings.data.streaming:
        print(f"note: no held-out check, {settings.data.source} is a stream, too long to read for it", file=sys.stderr)
        return None
    try:
        return settings.load_corpus()
    except (OSError, ValueError, ImportError) as error:
        print(f"note: no held-out check, the corpus cannot be read again: {error}", file=sys.stderr)
        return None


def held_out_check(corpus: Corpus, sentences: list[str]) -> list[int | None]:
    """Labels from a logistic regression on words and word pairs, fitted on texts that the model was not trained on;
    `None` where these do not have two labels to tell apart."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    fit_on, score_on = held_out_halves(corpus)
    if len(fit_on.classes) < 2:
        return [None] * len(sentences)
    check = make_pipeline(CountVectorizer(ngram_range=(1, 2), token_pattern=r"\S+"), LogisticRegression(max_iter=1000))
    check.fit(fit_on.texts, fit_on.labels)
    accuracy = check.score(score_on.texts, score_on.labels)
    majority = Counter(score_on.labels).most_common(1)[0][1] / len(score_on)
    print(f"held-out check: fitted on {len(fit_on)} texts, right on {accuracy:.1%} of {len(score_on)} others")
    print(f"(always the commonest label: {majority:.1%})\n")
    return check.predict(sentences).tolist()


def symbols_of_labels(labels: list[int | None], corpus: Corpus, known: dict[str, int]) -> list[int | None]:
    """The symbol that each label was taught as, whatever its name is now; of any other label the one of its name."""
    taught = corpus.train.classes
    named = {label: known.get(name) for label, name in enumerate(corpus.label_names)}
    return [label if label in taught else named.get(label) for label in labels]


def held_out_halves(corpus: Corpus) -> tuple[Split, Split]:
    """Labelled texts to fit the check on and to score it on; no training text is among them."""
    splits = [corpus.test, corpus.validation] if corpus.test else [corpus.validation] * 2
    first, second = (split.select(i for i, label in enumerate(split.labels) if label >= 0) for split in splits)
    if corpus.test is None:
        first, second = first.select(range(0, len(first), 2)), second.select(range(1, len(second), 2))
    return first, second


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
