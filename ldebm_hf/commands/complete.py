"""Fill in the words that are missing from texts, or measure how many of them a model restores.

    ldebm complete outputs/demo --text "will it <mask> in paris" "please <span> tomorrow"
    ldebm complete outputs/demo --text "i want <span>" --class_labels refund --num_completions 5
    ldebm complete outputs/demo --evaluate --language_model outputs/lm_demo

`<mask>` (or `<unk>`) stands for one missing word, `<span>` (or `<extra_id_0>`) for one or more. All other words stay,
even those that the model does not know.

`--evaluate` masks words of validation texts at random, 15 %, 30 % and 50 % of each text's, and has them completed by
the model, by a left-to-right language model whose search keeps the other words in the same way, and by trigrams and
single words counted on the training texts. Printed are the percentage of masked words that are restored exactly, with
its standard error; the percentage of texts restored entirely; and BLEU of the n-grams that hold a masked word.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from transformers import PreTrainedTokenizerBase

from ..experiments.completion_experiment import (
    MaskedTexts,
    SearchSettings,
    complete_masked_texts,
    completion_scores,
    model_completer,
    ngram_completers,
    words_of_texts,
)
from ..files.atomic import write_text
from ..model.configuration_ldebm import LDEBMConfig
from ..reports.tables import text_table
from ..training.saved_runs import find_checkpoint, settings_to_show
from .loading import load_pipeline
from .options import (
    add_checkpoint,
    code_options,
    corpus_options,
    json_options,
    make_parser,
    nothing_but_json,
    print_json,
    run_script,
    seed_options,
    symbol_options,
)

if TYPE_CHECKING:
    from ..model.pipeline_ldebm import LDEBMPipeline

CONTINUES = None
FRACTIONS = (0.15, 0.3, 0.5)
NUM_TEXTS = 200
NUM_COMPLETIONS = 3
NUM_SHOWN = 3
TEXT_OPTIONS = ("class_labels", "guidance_scale", "num_completions")
EVALUATION_OPTIONS = ("language_model", "num_texts", "fractions", "output_file", "data", "validation_file")


def main(arguments: list[str] | None = None) -> None:
    complete(read_options(build_parser(prog="ldebm complete"), arguments))


def build_parser(
    description: str | None = __doc__, prog: str | None = None, has_default: bool = False
) -> argparse.ArgumentParser:
    """The parser of this command; `has_default` says that the caller has a checkpoint if none is given."""
    shared = symbol_options("any; one for all texts, or one each"), seed_options(), corpus_options()
    usage = f"{'[CHECKPOINT]' if has_default else 'CHECKPOINT'} (--text TEXT ... | --evaluate) [options]"
    parser = make_parser(description, usage, *shared, json_options(), code_options(), prog=prog)
    add_checkpoint(parser, has_default)
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--text", nargs="+", help="texts with <mask> or <span>")
    task.add_argument("--evaluate", action="store_true", help="mask words of validation texts, count those restored")
    add = parser.add_argument
    add("--num_completions", type=int, metavar="N", help="with --text: number of completions of each (default 3)")
    add("--language_model", metavar="MODEL", help="with --evaluate: checkpoint of preset rnn_lm to compare with")
    add(
        "--num_texts",
        type=int,
        metavar="N",
        help="with --evaluate: number of texts (default 200; -1: the whole split)",
    )
    add(
        "--fractions",
        type=float,
        nargs="+",
        metavar="F",
        help="with --evaluate: fractions of the words to mask (default .15 .3 .5)",
    )
    add("--output_file", metavar="FILE", help="with --evaluate: also write the scores to this YAML file")
    add("--num_chains", type=int, default=8, metavar="N", help="number of latents per text (default 8)")
    add("--num_rounds", type=int, default=2, metavar="N", help="number of rounds of Langevin steps (default 2)")
    add("--num_beams", type=int, default=10, metavar="N", help="number of texts that each search keeps (default 10)")
    return parser


def read_options(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """The options of a command line; those that do not go together end the program."""
    options = parser.parse_args(arguments)
    if options.num_texts is not None and options.num_texts != -1 and options.num_texts < 1:
        parser.error(f"--num_texts must be at least 1, or -1 for all, got {options.num_texts}")
    unused, task = (EVALUATION_OPTIONS, "--evaluate") if options.text else (TEXT_OPTIONS, "--text")
    for name in unused:
        if getattr(options, name) is not None:
            parser.error(f"--{name} goes with {task}")
    if options.num_completions is not None and not 1 <= options.num_completions <= options.num_beams:
        parser.error(
            f"--num_completions must be from 1 to --num_beams ({options.num_beams}), got {options.num_completions}"
        )
    return options


def complete(options: argparse.Namespace) -> None:
    """Do what the options of [`build_parser`] ask for."""
    with nothing_but_json(options):
        pipe = load(options.checkpoint, options.trust_remote_code)
        found = print_completions(pipe, options) if options.text else evaluate(pipe, options)
    if options.json:
        print_json(found)


def load(checkpoint: str, trust_remote_code: bool = False) -> LDEBMPipeline:
    """Load a model of texts; there may be none (OSError), or one of points (ValueError)."""
    find_checkpoint(checkpoint)
    if not LDEBMConfig.from_pretrained(checkpoint).modality_class.reads_texts:
        raise ValueError(f"{checkpoint} holds a model of points, which has no words to complete")
    return load_pipeline(checkpoint, trust_remote_code)


def print_completions(pipe: LDEBMPipeline, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Complete the texts that are given, and print the completions; returns them."""
    completions = pipe.complete(
        options.text,
        class_labels=options.class_labels,
        guidance_scale=options.guidance_scale,
        num_return_sequences=NUM_COMPLETIONS if options.num_completions is None else options.num_completions,
        num_chains=options.num_chains,
        num_rounds=options.num_rounds,
        num_beams=options.num_beams,
        generator=options.seed,
    )
    for text, found in zip(options.text, completions, strict=True):
        print(text)
        for completion in found:
            symbol = f"  [{completion.symbol}]" if completion.symbol is not None else ""
            print(f"  {completion.score:7.2f}  {marked(completion.words, completion.is_filled)}{symbol}")
    print("\n(log probability, the text with the filled-in words between asterisks, the symbol that the model reads)")
    return [
        {
            "text": text,
            "completions": [{name: getattr(one, name) for name in ("text", "score", "symbol")} for one in found],
        }
        for text, found in zip(options.text, completions, strict=True)
    ]


def marked(words: Sequence[str], is_filled: Sequence[bool]) -> str:
    return " ".join(f"*{word}*" if filled else word for word, filled in zip(words, is_filled, strict=True))


def evaluate(pipe: LDEBMPipeline, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Complete masked validation texts by the model and by what it is compared with; print and return the scores."""
    # 1. Texts of the corpus that the model was trained on.
    settings = settings_to_show(options.checkpoint, options.data, options.validation_file)
    if settings is None:
        raise ValueError(f"--evaluate needs settings.yaml in {options.checkpoint}, which names the corpus")
    if settings.data.streaming:
        raise ValueError(f"--evaluate needs a corpus that fits into memory, {settings.data.source} is streamed")
    corpus, tokenizer = settings.load_corpus(), pipe.tokenizer
    texts = words_of_texts(tokenizer, corpus.validation.texts)
    if options.num_texts != -1:
        texts = texts[: options.num_texts or NUM_TEXTS]

    # 2. What completes them.
    search = SearchSettings(options.num_chains, options.num_rounds, options.num_beams, options.seed)
    completers = {"this model": model_completer(pipe.model, tokenizer, search)}
    if options.language_model is not None:
        language_model = load(options.language_model)
        if language_model.tokenizer.get_vocab() != tokenizer.get_vocab():
            raise ValueError(f"--language_model must have {options.checkpoint}'s vocabulary, not another one")
        completers["left-to-right LM"] = model_completer(language_model.model, tokenizer, search)
    completers |= ngram_completers(tokenizer, corpus.train.texts, options.num_beams)

    # 3. All methods complete the same masks.
    records = []
    for fraction in options.fractions or FRACTIONS:
        completed = complete_masked_texts(completers, tokenizer, texts, fraction, options.seed)
        records += completion_scores(completed, tokenizer)
        print_examples(completed, tokenizer)

    # 4. The table.
    print(scores_table(records))
    if options.output_file is not None:
        write_text(Path(options.output_file), yaml.safe_dump(records, sort_keys=False))
    return records


def print_examples(completed: MaskedTexts, tokenizer: PreTrainedTokenizerBase) -> None:
    for number, masked in enumerate(completed.masked[:NUM_SHOWN]):
        is_filled = [token == len(tokenizer) for token in masked]
        print(f"{marked(tokenizer.convert_ids_to_tokens(completed.originals[number]), is_filled)}")
        for name, completions in completed.completions.items():
            print(f"    {name:17}{marked(tokenizer.convert_ids_to_tokens(completions[number]), is_filled)}")
    print()


def scores_table(records: list[dict]) -> str:
    columns = {
        "masked": [f"{record['masked']:.0%}" for record in records],
        "completed by": [record["by"] for record in records],
        "words right": [f"{record['word_accuracy']:.1%} ± {record['word_accuracy_std_error']:.1%}"
                        for record in records],
        "texts right": [f"{record['text_accuracy']:.1%}" for record in records],
        "BLEU": [f"{record['bleu']:.1f}" for record in records],
        "words": [str(record["num_words"]) for record in records],
        "texts": [str(record["num_texts"]) for record in records],
    }  # fmt: skip
    return text_table(columns)


if __name__ == "__main__":
    run_script(main, CONTINUES)
