"""Fill in the words that are missing from texts, or measure how many of them come back.

    python examples/complete.py outputs/demo --text "will it <mask> in paris" "please <span> tomorrow"
    python examples/complete.py outputs/demo --text "i want <span>" --class_labels refund --num_completions 5
    python examples/complete.py outputs/demo --evaluate --language_model outputs/lm_demo

`<mask>` (or `<unk>`) stands for one missing word, `<span>` (or `<extra_id_0>`) for one or more. Every observed word
stays, also one that the model does not know.

With `--evaluate` words of texts of the validation split are masked at random, 15 %, 30 % and 50 % of each text's, and
completed by the model; by a left-to-right language model (`--language_model`, a checkpoint of preset rnn_lm trained
on the same data with the same vocabulary), whose search keeps the observed words in the same way; and by trigrams and
single words counted on the training split. Scored on the same masks: the share of the masked words that are exactly
the original ones, with its standard error; the share of texts of which all are; and BLEU of the n-grams with a masked
word.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from transformers import AutoTokenizer

from ldebm_hf import LDEBMModel
from ldebm_hf.baselines.ngrams import NgramModel
from ldebm_hf.files.atomic import write_text
from ldebm_hf.reports.tables import text_table
from ldebm_hf.scores import mask_positions, recovery_scores
from ldebm_hf.training.saved_runs import find_checkpoint, settings_of, shipped_checkpoint

SPACE = Path(__file__).resolve().parents[1] / "spaces_app"
FRACTIONS = (0.15, 0.3, 0.5)
NUM_MARKS = 4  # <pad>, <unk>, <s>, </s>
NUM_SHOWN = 3
OF_TEXTS = ("class_labels", "guidance_scale", "num_completions")
OF_EVALUATION = ("language_model", "num_texts", "fractions", "output_file")


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", help="folder or Hub id; default: the one that comes with the page")
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--text", nargs="+", help="texts with <mask> or <span>")
    task.add_argument("--evaluate", action="store_true", help="mask words of validation texts, count what comes back")
    parser.add_argument("--class_labels", nargs="+", help="of --text: a symbol by name or id, one for all or one each")
    parser.add_argument("--guidance_scale", type=float, help="how much to insist on it; default: the model's")
    parser.add_argument("--num_completions", type=int, help="of --text: completions of each (default 3)")
    parser.add_argument("--language_model", help="of --evaluate: checkpoint of a left-to-right language model")
    parser.add_argument("--num_texts", type=int, help="of --evaluate (default 200); -1: the whole split")
    parser.add_argument("--fractions", type=float, nargs="+", help="of --evaluate: words masked (default .15 .3 .5)")
    parser.add_argument("--output_file", help="of --evaluate: scores as YAML, too")
    parser.add_argument("--num_chains", type=int, default=8, help="latents per text (default 8)")
    parser.add_argument("--num_rounds", type=int, default=2, help="rounds of Langevin steps (default 2)")
    parser.add_argument("--num_beams", type=int, default=10, help="texts that each search keeps (default 10)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.num_texts is not None and options.num_texts != -1 and options.num_texts < 1:
        parser.error(f"--num_texts must be at least 1, or -1 for all, got {options.num_texts}")
    for name in OF_EVALUATION if options.text else OF_TEXTS:
        if getattr(options, name) is not None:
            parser.error(f"--{name} goes with {'--evaluate' if options.text else '--text'}")
    if options.num_completions is not None and not 1 <= options.num_completions <= options.num_beams:
        parser.error(
            f"--num_completions must be 1 to --num_beams, {options.num_beams} here, got {options.num_completions}"
        )
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    options.checkpoint = options.checkpoint or os.path.relpath(shipped_checkpoint(SPACE))
    model, tokenizer = load(options.checkpoint)
    if options.text:
        print_completions(model, tokenizer, options)
    else:
        evaluate(model, tokenizer, options)


def load(checkpoint: str) -> tuple[LDEBMModel, AutoTokenizer]:
    find_checkpoint(checkpoint)
    model = LDEBMModel.from_pretrained(checkpoint).to("cuda" if torch.cuda.is_available() else "cpu")
    if model.config.modality == "point":
        raise ValueError(f"{checkpoint} holds a model of points, which has no words to complete")
    return model, AutoTokenizer.from_pretrained(checkpoint)


def print_completions(model: LDEBMModel, tokenizer, options: argparse.Namespace) -> None:
    completions = model.complete_texts(
        options.text,
        tokenizer,
        class_labels=options.class_labels,
        guidance_scale=options.guidance_scale,
        num_return_sequences=3 if options.num_completions is None else options.num_completions,
        num_chains=options.num_chains,
        num_rounds=options.num_rounds,
        num_beams=options.num_beams,
        generator=torch.Generator().manual_seed(options.seed),
    )
    for text, found in zip(options.text, completions, strict=True):
        print(text)
        for completion in found:
            symbol = f"  [{completion.symbol}]" if completion.symbol is not None else ""
            print(f"  {completion.score:7.2f}  {marked(completion.words, completion.is_filled)}{symbol}")
    print("\n(log probability, the words filled in between asterisks, the symbol that the model reads)")


def marked(words: Sequence[str], is_filled: Sequence[bool]) -> str:
    return " ".join(f"*{word}*" if filled else word for word, filled in zip(words, is_filled, strict=True))


def evaluate(model: LDEBMModel, tokenizer, options: argparse.Namespace) -> None:
    # 1. Texts, and what completes them.
    settings = settings_of(options.checkpoint)
    if settings is None:
        raise ValueError(f"--evaluate needs settings.yaml in {options.checkpoint}, which names the corpus")
    if settings.data.streaming:
        raise ValueError(f"--evaluate needs a corpus that fits into memory, {settings.data.source} is streamed")
    corpus = settings.load_corpus()
    language_model = None
    if options.language_model is not None:
        language_model, other = load(options.language_model)
        if other.get_vocab() != tokenizer.get_vocab():
            raise ValueError(f"--language_model must have {options.checkpoint}'s vocabulary, not another one")
    held_out = token_ids(tokenizer, corpus.validation.texts)
    originals = [ids for ids in held_out[: None if options.num_texts == -1 else (options.num_texts or 200)] if ids]
    training = [[tokenizer.bos_token_id, *ids, tokenizer.eos_token_id] for ids in
                token_ids(tokenizer, corpus.train.texts)]  # fmt: skip
    ngrams = {f"{order}-grams" if order > 1 else "commonest words": NgramModel(training, len(tokenizer), order)
              for order in (3, 1)}  # fmt: skip

    # 2. The same masks for all.
    records = []
    can_be_masked = [[token >= NUM_MARKS for token in ids] for ids in originals]
    for fraction in options.fractions or FRACTIONS:
        positions = mask_positions(can_be_masked, fraction, options.seed)
        kept = [number for number, places in enumerate(positions) if places]
        texts, places = [originals[number] for number in kept], [positions[number] for number in kept]
        masked = [[len(tokenizer) if at in of_text else token for at, token in enumerate(ids)]
                  for ids, of_text in zip(texts, places, strict=True)]  # fmt: skip
        filled = {"this model": fill(model, tokenizer, masked, options)}
        if language_model is not None:
            filled["left-to-right LM"] = fill(language_model, tokenizer, masked, options)
        may_fill = torch.arange(len(tokenizer)) >= NUM_MARKS
        marks = {"begin_token_id": tokenizer.bos_token_id, "end_token_id": tokenizer.eos_token_id}
        for name, ngram_model in ngrams.items():
            filled[name] = ngram_model.infill(
                masked, len(tokenizer), may_fill=may_fill, num_beams=options.num_beams, **marks
            )
        for name, completions in filled.items():
            words = [tokenizer.convert_ids_to_tokens(ids) for ids in completions]
            scores = recovery_scores(words, [tokenizer.convert_ids_to_tokens(ids) for ids in texts], places)
            records.append({"masked": fraction, "by": name, **vars(scores)})
        print_examples(tokenizer, masked, texts, filled)

    # 3. The table.
    print(table(records))
    if options.output_file is not None:
        write_text(Path(options.output_file), yaml.safe_dump(records, sort_keys=False))


def token_ids(tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Of each text its words, as long as the model was trained on, without marks."""
    longest = max(1, tokenizer.model_max_length - 2)
    return [ids[:longest] for ids in tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]]


def fill(model: LDEBMModel, tokenizer, masked: list[list[int]], options: argparse.Namespace) -> list[list[int]]:
    """The model's most probable completion of each text, without marks; sorted by length, to waste less padding."""
    order = sorted(range(len(masked)), key=lambda number: len(masked[number]))
    completions: list[list[int]] = [[]] * len(masked)
    generator = torch.Generator().manual_seed(options.seed)
    for start in range(0, len(order), 16):
        rows = order[start : start + 16]
        texts = [[tokenizer.bos_token_id, *masked[row], tokenizer.eos_token_id] for row in rows]
        longest = max(map(len, texts))
        output = model.complete(
            torch.tensor([ids + [tokenizer.pad_token_id] * (longest - len(ids)) for ids in texts]),
            torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in texts]),
            mask_token_id=len(tokenizer),
            num_chains=options.num_chains,
            num_rounds=options.num_rounds,
            num_beams=options.num_beams,
            generator=generator,
        )
        for row, ids in zip(rows, output.sequences.tolist(), strict=True):
            completions[row] = ids[1 : len(masked[row]) + 1]
    return completions


def print_examples(tokenizer, masked, originals, filled: dict[str, list[list[int]]]) -> None:
    for number in range(min(NUM_SHOWN, len(masked))):
        is_filled = [token == len(tokenizer) for token in masked[number]]
        print(f"{marked(tokenizer.convert_ids_to_tokens(originals[number]), is_filled)}")
        for name, completions in filled.items():
            print(f"    {name:17}{marked(tokenizer.convert_ids_to_tokens(completions[number]), is_filled)}")
    print()


def table(records: list[dict]) -> str:
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
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
