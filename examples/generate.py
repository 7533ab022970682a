"""Write sentences with a trained model: for its symbols, from its prior, or reconstructed from given texts.

    python examples/generate.py                               # with the checkpoint that comes with the page
    python examples/generate.py outputs/demo                                     # some for every symbol
    python examples/generate.py outputs/demo --class_labels weather refund --num_samples 10 --guidance_scale 3
    python examples/generate.py outputs/demo --min_label_probability 0.9         # resample misread sentences
    python examples/generate.py outputs/demo --no_symbols --num_samples 20 --do_sample --temperature 0.8
    python examples/generate.py outputs/demo --text "please play some jazz" "will it rain"
    python examples/generate.py outputs/demo --num_samples 1000000 --output_file sentences.jsonl     # or .parquet

Beside each sentence stands the symbol that was asked for, the one that the model reads back from it, and the verdict
of a check that is not part of the model: a bag-of-words classifier fitted on labelled texts that the model never saw.
If these are in a file of your own, name it: --data my.csv. Files that only the model's settings name are not read.
A model whose prior has no symbols writes from its prior. With `--output_file` sentences go there instead, each with
the symbol asked for; after an interruption the same command continues.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from ldebm_hf import LDEBMModel
from ldebm_hf.commands.held_out_check import HeldOutCheck, load_training_corpus, symbols_of_labels
from ldebm_hf.commands.options import (
    RESAMPLING_HELP,
    check_symbols,
    corpus_options,
    make_parser,
    run_script,
    sampling_options,
    seed_options,
    symbol_options,
)
from ldebm_hf.files.writing import write_samples
from ldebm_hf.model.text_reading import TextReader, decode_words
from ldebm_hf.reports.tables import text_table
from ldebm_hf.training.saved_runs import find_checkpoint, shipped_checkpoint

SPACE = Path(__file__).resolve().parents[1] / "spaces_app"
FILE_OPTIONS = ("batch_size", "overwrite")  # only with --output_file


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    shared = symbol_options("all; with --output_file none"), sampling_options(), seed_options(), corpus_options()
    parser = make_parser(__doc__, "[CHECKPOINT] [options]", *shared)
    add, unset = parser.add_argument, {"default": argparse.SUPPRESS}
    add("checkpoint", nargs="?", help="folder or Hub id (default: the one that comes with the page)")
    add(
        "--num_samples",
        type=int,
        default=4,
        metavar="N",
        help="number of sentences, for each symbol if there are symbols (default 4)",
    )
    add("--min_label_probability", type=float, metavar="P", help=RESAMPLING_HELP)
    add("--text", nargs="+", help="texts to reconstruct from their latents, instead of new sentences")
    add("--temperature", type=float, metavar="T", help="with --do_sample: temperature (default 1)")
    add("--num_beams", type=int, default=1, metavar="N", help="number of beams of the search (default 1: greedy)")
    add("--output_file", metavar="FILE", help="write to a .jsonl or .parquet file, and print nothing")
    add(
        "--batch_size",
        type=int,
        **unset,
        metavar="N",
        help="with --output_file: number of sentences at a time (default 1024)",
    )
    add(
        "--overwrite",
        action="store_true",
        **unset,
        help="replace the file, and discard another request that is not finished",
    )
    options = parser.parse_args(arguments)
    check_symbols(parser, options)
    if options.min_label_probability is not None and options.no_symbols:
        parser.error("--min_label_probability needs symbols, and --no_symbols asks for none")
    if options.temperature is not None and not options.do_sample:
        parser.error("--temperature needs --do_sample")
    if options.text and options.output_file:
        parser.error("--text and --output_file exclude each other: reconstructions are only printed")
    for name in FILE_OPTIONS:
        if name in options and not options.output_file:
            parser.error(f"--{name} needs --output_file")
    return options


def main(arguments: list[str] | None = None) -> None:
    # 1. The model.
    options = parse_arguments(arguments)
    options.checkpoint = options.checkpoint or os.path.relpath(shipped_checkpoint(SPACE))
    model, tokenizer = load(options.checkpoint)

    # 2. Texts to reconstruct, or many sentences for a file.
    if options.text:
        print_reconstructions(model, tokenizer, options.text)
        return
    decoding = decoding_options(model, options)
    if options.output_file:
        of_file = {name: value for name, value in vars(options).items() if name in FILE_OPTIONS}
        symbols = {"class_labels": options.class_labels, "seed": options.seed}
        write_samples(model, tokenizer, options.output_file, options.num_samples, **symbols, **of_file, **decoding)
        return

    # 3. Sentences for the symbols, or from the prior.
    symbols = None
    names = options.class_labels or (list(model.config.label2id) if model.has_symbols else [])
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

    # 4. How the model and the held-out check read them.
    corpus = load_training_corpus(options.checkpoint, options.data, options.validation_file)
    requested = None if symbols is None else symbols.tolist()
    print_readings(model, tokenizer, sentences, words, requested, corpus)

    # 5. Some reconstructions, and what to try next.
    has_latent = model.config.has_latent
    if corpus is not None and has_latent:
        print("\nTexts of the validation split, reconstructed from their latents:")
        print_reconstructions(model, tokenizer, corpus.validation.texts[:3])
    print("\nNext:")
    if model.has_symbols:
        some = names[0] if symbols is not None else next(iter(model.config.id2label.values()))
        print(f"  python examples/generate.py {options.checkpoint} --class_labels {some!r} --num_samples 10")
    print(f"  python examples/generate.py {options.checkpoint} --no_symbols --num_samples 10 --do_sample")
    if has_latent:
        print(f'  python examples/generate.py {options.checkpoint} --text "a text of your own"')


def load(checkpoint: str) -> tuple[LDEBMModel, Any]:
    find_checkpoint(checkpoint)
    model = LDEBMModel.from_pretrained(checkpoint).to("cuda" if torch.cuda.is_available() else "cpu")
    if not model.modality.reads_texts:
        raise ValueError(f"{checkpoint} holds a model of points: python examples/synthetic.py draws from it")
    if model.config.context_size:
        raise ValueError(f"{checkpoint} holds a model with contexts: examples/respond.py answers with it")
    return model, AutoTokenizer.from_pretrained(checkpoint)


def decoding_options(model: LDEBMModel, options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `generate` that were given; without --do_sample a model writes in its own way."""
    decoding: dict[str, Any] = {}
    if model.modality.is_autoregressive or options.num_beams != 1:
        decoding["num_beams"] = options.num_beams
    if options.do_sample:
        decoding["do_sample"] = True
    for name in ("temperature", "guidance_scale", "min_label_probability"):
        if getattr(options, name) is not None:
            decoding[name] = getattr(options, name)
    return decoding


def print_readings(
    model: LDEBMModel,
    tokenizer,
    sentences: list[str],
    words: list[str],
    symbols: list[int] | None,
    corpus: Any,
) -> None:
    """
    Print the sentences with the symbols asked for and read, and how often these are the same. `words` are the
    sentences as the corpus has them, which the held-out check reads.
    """
    id2label = model.config.id2label
    asked: Sequence[int | None] = [None] * len(sentences) if symbols is None else symbols
    columns = {"asked for": ["-" if symbol is None else id2label[symbol] for symbol in asked]}
    verdicts: dict[str, list[int | None]] = {}
    if model.has_symbols:
        verdicts["model reads"] = read_symbols(model, tokenizer, sentences)
        columns["model reads"] = [id2label[symbol] for symbol in verdicts["model reads"]]
    if corpus is not None and corpus.label_names:
        check = HeldOutCheck(corpus)
        if check.describe():
            print(f"{check.describe()}\n")
        labels = check.predict(words)
        columns["held-out check"] = ["?" if label is None else corpus.label_names[label] for label in labels]
        verdicts["held-out check"] = symbols_of_labels(labels, corpus, model.config.label2id)
    print(text_table(columns | {"sentence": sentences}))
    if symbols is not None:
        for judge, read in verdicts.items():
            hits = sum(one == other for one, other in zip(asked, read, strict=True))
            print(f"{judge}: as asked for in {hits} of {len(asked)}")
    print(f"{len(set(sentences))} of {len(sentences)} sentences are distinct")


def read_symbols(model: LDEBMModel, tokenizer, texts: list[str]) -> list[int]:
    batch = tokenizer(texts, return_tensors="pt", padding=True, truncation=True).to(model.device)
    return model.infer_symbols(**batch).argmax(-1).tolist()


def print_reconstructions(model: LDEBMModel, tokenizer, texts: list[str]) -> None:
    reader = TextReader(tokenizer, model.config)
    batch = reader(texts).to(model.device)
    reader.warn()
    copies = tokenizer.batch_decode(model.generate(**batch), skip_special_tokens=True)
    notes = [""] * len(texts)
    if model.has_symbols:
        probabilities, symbols = (values.tolist() for values in model.infer_symbols(**batch).max(-1))
        names = [model.config.id2label[symbol] for symbol in symbols]
        notes = [f"   [{name}, {probability:.0%}]" for name, probability in zip(names, probabilities, strict=True)]
    for text, copy, note in zip(texts, copies, notes, strict=True):
        print(f"  {text}\n    -> {copy}{note}")


if __name__ == "__main__":
    run_script(main)
