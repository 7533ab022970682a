"""Write texts with a trained model: for its symbols, from its prior, or reconstructed from given texts.

    ldebm write outputs/demo                                                     # some for every symbol
    ldebm write outputs/demo --class_labels weather refund --num_samples 10 --guidance_scale 3
    ldebm write outputs/demo --min_label_probability 0.9                         # resample misread sentences
    ldebm write outputs/demo --no_symbols --num_samples 20 --do_sample --temperature 0.8
    ldebm write outputs/demo --text "please play some jazz" "will it rain"
    ldebm write outputs/demo --num_samples 1000000 --output_file sentences.jsonl     # or .parquet

Beside each sentence stands the symbol that was asked for, the one that the model reads back from it, and the verdict
of a check that is not part of the model: a bag-of-words classifier fitted on labelled texts that the model never saw.
If these are in a file of your own, name it: --data my.csv. Files that only the model's settings name are not read.
A model whose prior has no symbols writes from its prior. With `--output_file` sentences go there instead, each with
the symbol asked for; after an interruption the same command continues.
"""


from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..data import Corpus
from ..files.writing import write_samples
from ..model.configuration_ldebm import LDEBMConfig
from ..model.pipeline_outputs import WrittenText, cost_of_rejection
from ..model.text_reading import decode_words
from ..reports.tables import text_table
from ..training.saved_runs import find_checkpoint
from .held_out_check import HeldOutCheck, load_training_corpus, symbols_of_labels
from .loading import load_pipeline
from .options import (
    RESAMPLING_HELP,
    add_checkpoint,
    check_symbols,
    code_options,
    corpus_options,
    json_options,
    make_parser,
    nothing_but_json,
    print_json,
    run_script,
    sampling_options,
    seed_options,
    symbol_options,
)

if TYPE_CHECKING:
    from ..model.modeling_ldebm import LDEBMModel
    from ..model.pipeline_ldebm import LDEBMPipeline

CONTINUES = None
FILE_OPTIONS = ("batch_size", "overwrite")  # only with --output_file


def main(arguments: list[str] | None = None) -> None:
    write(read_options(build_parser(prog="ldebm write"), arguments))


def build_parser(
    description: str | None = __doc__, prog: str | None = None, has_default: bool = False
) -> argparse.ArgumentParser:
    """The parser of this command; `has_default` says that the caller has a checkpoint if none is given."""
    shared = symbol_options("all; with --output_file none"), sampling_options(), seed_options(), corpus_options()
    usage = "[CHECKPOINT] [options]" if has_default else "CHECKPOINT [options]"
    parser = make_parser(description, usage, *shared, json_options(), code_options(), prog=prog)
    add_checkpoint(parser, has_default)
    add, unset = parser.add_argument, {"default": argparse.SUPPRESS}
    add(
        "--num_samples",
        type=int,
        default=4,
        metavar="N",
        help="number of sentences, for each symbol if there are symbols (default 4)",
    )
    add("--min_label_probability", type=float, metavar="P", help=RESAMPLING_HELP)
    add(
        "--sampler",
        choices=("langevin", "distilled"),
        help="how latents are drawn (default langevin; distilled needs ldebm distil before)",
    )
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
    return parser


def read_options(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """The options of a command line; those that do not go together end the program."""
    options = parser.parse_args(arguments)
    check_symbols(parser, options)
    if options.min_label_probability is not None and options.no_symbols:
        parser.error("--min_label_probability needs symbols, and --no_symbols asks for none")
    if options.temperature is not None and not options.do_sample:
        parser.error("--temperature needs --do_sample")
    if options.text and options.output_file:
        parser.error("--text and --output_file exclude each other: reconstructions are only printed")
    if options.json and options.output_file:
        parser.error("--json and --output_file exclude each other: sentences go into the file")
    for name in FILE_OPTIONS:
        if name in options and not options.output_file:
            parser.error(f"--{name} needs --output_file")
    return options


def write(options: argparse.Namespace) -> None:
    """Do what the options of [`build_parser`] ask for."""
    # 1. The model.
    pipe = load_writer(options.checkpoint, options.trust_remote_code)

    # 2. Many sentences for a file.
    if options.output_file:
        write_file(pipe, options)
        return

    with nothing_but_json(options):
        # 3. Texts to reconstruct.
        if options.text:
            found = print_reconstructions(pipe, options.text)

        # 4. Sentences for the symbols, or from the prior; how the model and a check read them; what to try next.
        else:
            written = write_sentences(pipe, options)
            if options.min_label_probability is not None:
                print(cost_of_rejection(written), file=sys.stderr)
            found = [asdict(one) for one in written]
            corpus = load_training_corpus(options.checkpoint, options.data, options.validation_file)
            print_readings(pipe, written, corpus)
            print_next(pipe, written, corpus, options.checkpoint)
    if options.json:
        print_json(found)


def write_file(pipe: LDEBMPipeline, options: argparse.Namespace) -> None:
    """Write many sentences into a file, which an interrupted command continues."""
    of_file = {name: value for name, value in vars(options).items() if name in FILE_OPTIONS}
    symbols = {"class_labels": options.class_labels, "seed": options.seed}
    decoding = decoding_options(pipe.model, options)
    number = options.num_samples
    write_samples(pipe.model, pipe.tokenizer, options.output_file, number, **symbols, **of_file, **decoding)


def write_sentences(pipe: LDEBMPipeline, options: argparse.Namespace) -> list[WrittenText]:
    """Write sentences for the symbols, or from the prior, with the symbol that the model reads in each."""
    names = options.class_labels or (list(pipe.model.config.label2id) if pipe.model.has_symbols else [])
    if options.no_symbols:
        names = []
    decoding = decoding_options(pipe.model, options)
    return pipe.write_and_read(names or None, options.num_samples, generator=options.seed, **decoding)


def print_next(pipe: LDEBMPipeline, written: list[WrittenText], corpus: Corpus | None, checkpoint: str) -> None:
    """Print some reconstructions, and what to try next."""
    config = pipe.model.config
    if corpus is not None and config.has_latent:
        print("\nTexts of the validation split, reconstructed from their latents:")
        print_reconstructions(pipe, corpus.validation.texts[:3])
    print("\nNext:")
    if pipe.model.has_symbols:
        some = written[0].requested or next(iter(config.id2label.values()))
        print(f"  ldebm write {checkpoint} --class_labels {some!r} --num_samples 10")
    print(f"  ldebm write {checkpoint} --no_symbols --num_samples 10 --do_sample")
    if config.has_latent:
        print(f'  ldebm write {checkpoint} --text "a text of your own"')


def load_writer(checkpoint: str, trust_remote_code: bool = False) -> LDEBMPipeline:
    """
    Load a model that writes texts by itself.

    Raises:
        OSError: There is no such checkpoint.
        ValueError: It holds a model of points, or one that answers in dialogues.
    """
    find_checkpoint(checkpoint)
    config = LDEBMConfig.from_pretrained(checkpoint)
    if not config.modality_class.reads_texts:
        raise ValueError(f"{checkpoint} holds a model of points: python examples/synthetic.py draws from it")
    if config.context_size:
        raise ValueError(f"{checkpoint} holds a model with contexts: ldebm respond answers with it")
    return load_pipeline(checkpoint, trust_remote_code)


def decoding_options(model: LDEBMModel, options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `generate` that were given; without --do_sample a model writes in its own way."""
    decoding: dict[str, Any] = {}
    if model.modality.is_autoregressive or options.num_beams != 1:
        decoding["num_beams"] = options.num_beams
    if options.do_sample:
        decoding["do_sample"] = True
    for name in ("temperature", "guidance_scale", "min_label_probability", "sampler"):
        if getattr(options, name) is not None:
            decoding[name] = getattr(options, name)
    return decoding


def print_readings(pipe: LDEBMPipeline, written: list[WrittenText], corpus: Corpus | None) -> None:
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


def print_reconstructions(pipe: LDEBMPipeline, texts: list[str]) -> list[dict[str, Any]]:
    """Print texts with what is decoded from their latents; returns the same."""
    found = []
    for reading in pipe.read(texts):
        note = ""
        if reading.probabilities is not None:
            name = max(reading.probabilities, key=reading.probabilities.get)
            note = f"   [{name}, {reading.probabilities[name]:.0%}]"
        print(f"  {reading.text}\n    -> {reading.reconstruction}{note}")
        found.append({name: getattr(reading, name) for name in ("text", "reconstruction", "probabilities")})
    return found


if __name__ == "__main__":
    run_script(main, CONTINUES)
