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
from pathlib import Path
from typing import Any

from ldebm_hf import LDEBMConfig, LDEBMModel, LDEBMPipeline
from ldebm_hf.commands.held_out_check import HeldOutCheck, load_training_corpus, symbols_of_labels
from ldebm_hf.commands.options import (
    RESAMPLING_HELP,
    check_symbols,
    code_options,
    corpus_options,
    make_parser,
    run_script,
    sampling_options,
    seed_options,
    symbol_options,
)
from ldebm_hf.files.writing import write_samples
from ldebm_hf.model.pipeline_outputs import WrittenText
from ldebm_hf.model.text_reading import decode_words
from ldebm_hf.reports.tables import text_table
from ldebm_hf.training.saved_runs import find_checkpoint, shipped_checkpoint

SPACE = Path(__file__).resolve().parents[1] / "spaces_app"
FILE_OPTIONS = ("batch_size", "overwrite")  # only with --output_file


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    shared = symbol_options("all; with --output_file none"), sampling_options(), seed_options(), corpus_options()
    parser = make_parser(__doc__, "[CHECKPOINT] [options]", *shared, code_options())
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
    pipe = load(options.checkpoint, options.trust_remote_code)
    model = pipe.model

    # 2. Texts to reconstruct, or many sentences for a file.
    if options.text:
        print_reconstructions(pipe, options.text)
        return
    decoding = decoding_options(model, options)
    if options.output_file:
        of_file = {name: value for name, value in vars(options).items() if name in FILE_OPTIONS}
        symbols = {"class_labels": options.class_labels, "seed": options.seed}
        number = options.num_samples
        write_samples(model, pipe.tokenizer, options.output_file, number, **symbols, **of_file, **decoding)
        return

    # 3. Sentences for the symbols, or from the prior.
    names = options.class_labels or (list(model.config.label2id) if model.has_symbols else [])
    if options.no_symbols:
        names = []
    written = pipe.write_and_read(names or None, options.num_samples, generator=options.seed, **decoding)

    # 4. How the model and the held-out check read them.
    corpus = load_training_corpus(options.checkpoint, options.data, options.validation_file)
    print_readings(pipe, written, corpus)

    # 5. Some reconstructions, and what to try next.
    has_latent = model.config.has_latent
    if corpus is not None and has_latent:
        print("\nTexts of the validation split, reconstructed from their latents:")
        print_reconstructions(pipe, corpus.validation.texts[:3])
    print("\nNext:")
    if model.has_symbols:
        some = names[0] if names else next(iter(model.config.id2label.values()))
        print(f"  python examples/generate.py {options.checkpoint} --class_labels {some!r} --num_samples 10")
    print(f"  python examples/generate.py {options.checkpoint} --no_symbols --num_samples 10 --do_sample")
    if has_latent:
        print(f'  python examples/generate.py {options.checkpoint} --text "a text of your own"')


def load(checkpoint: str, trust_remote_code: bool = False) -> LDEBMPipeline:
    find_checkpoint(checkpoint)
    config = LDEBMConfig.from_pretrained(checkpoint)
    if not config.modality_class.reads_texts:
        raise ValueError(f"{checkpoint} holds a model of points: python examples/synthetic.py draws from it")
    if config.context_size:
        raise ValueError(f"{checkpoint} holds a model with contexts: examples/respond.py answers with it")
    return LDEBMPipeline.from_pretrained(checkpoint, trust_remote_code=trust_remote_code)


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


def print_readings(pipe: LDEBMPipeline, written: list[WrittenText], corpus: Any) -> None:
    """Print the sentences with the symbols asked for and read, and how often these are the same."""
    sentences, symbols = [one.text for one in written], pipe.model.config.label2id
    asked = [symbols.get(one.requested) for one in written]
    columns = {"asked for": [one.requested or "-" for one in written]}
    verdicts: dict[str, list[int | None]] = {}
    if pipe.model.has_symbols:
        columns["model reads"] = [one.read for one in written]
        verdicts["model reads"] = [symbols[one.read] for one in written]
    if corpus is not None and corpus.label_names:
        check = HeldOutCheck(corpus)
        if check.describe():
            print(f"{check.describe()}\n")
        token_ids = pipe.tokenizer(sentences, verbose=False)["input_ids"]
        labels = check.predict(decode_words(pipe.tokenizer, token_ids))  # words as the corpus has them
        columns["held-out check"] = ["?" if label is None else corpus.label_names[label] for label in labels]
        verdicts["held-out check"] = symbols_of_labels(labels, corpus, symbols)
    print(text_table(columns | {"sentence": sentences}))
    if any(symbol is not None for symbol in asked):
        for judge, read in verdicts.items():
            hits = sum(one == other for one, other in zip(asked, read, strict=True))
            print(f"{judge}: as asked for in {hits} of {len(asked)}")
    print(f"{len(set(sentences))} of {len(sentences)} sentences are distinct")


def print_reconstructions(pipe: LDEBMPipeline, texts: list[str]) -> None:
    for reading in pipe.read(texts):
        note = ""
        if reading.probabilities is not None:
            name = max(reading.probabilities, key=reading.probabilities.get)
            note = f"   [{name}, {reading.probabilities[name]:.0%}]"
        print(f"  {reading.text}\n    -> {reading.reconstruction}{note}")


if __name__ == "__main__":
    run_script(main)
