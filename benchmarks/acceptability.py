"""Whether a judge of acceptability agrees with a reading by eye of sentences of the Yelp checkpoint and real ones.

    python benchmarks/acceptability.py outputs/acceptability --data_dir data/yelp
    python benchmarks/acceptability.py outputs/acceptability --data_dir data/yelp --judge outputs/judge
    python benchmarks/acceptability.py --draw 4 --data_dir data/yelp --readings mine.json

`read_sentences.json` has the verdicts of one strict reader: for each seed 60 sentences of the checkpoint, 20 each of
the likeliest words, drawn at temperature 0.7 and drawn in full, half of each for either sentiment, and 20 real ones.
They were read in random order without their source, and before a judge had said anything about them. A fragment that
reviews are full of ("very great service !") is acceptable, and so is a sentence without an error that makes no sense;
a missing article or a wrong ending is not. Real sentences are named by their position in the validation split.

The command prints the share of acceptable sentences by eye and by the judge, Cohen's kappa, and the area under the ROC
curve of the judge's probability. With `--judge` it then writes 500 sentences of each sentiment in every way, seed 0,
and prints how many have the sentiment asked for and how many are acceptable, beside real held-out sentences and
corrupted ones. `--draw` writes new sentences to read, whose verdicts are to be filled in.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from tabulate import tabulate
from transformers import AutoTokenizer
from writing import WAYS

from ldebm_hf import LDEBMModel
from ldebm_hf.baselines.corrupted_texts import TextCorruption
from ldebm_hf.data import Corpus, load_corpus
from ldebm_hf.files.atomic import write_text
from ldebm_hf.scores import acceptability, distinct_n
from ldebm_hf.scores.acceptability import ACCEPTABLE
from ldebm_hf.scores.conditional_generation import accuracy_scores, in_vocabulary, write_for_classes
from ldebm_hf.scores.judging import Judge, load_judge

READINGS = Path(__file__).with_name("read_sentences.json")
REAL = "real sentences"
PER_SOURCE = 20
PER_SENTIMENT = 500
DRAWN = {
    "likeliest words": {},
    "words drawn from the 50 likeliest": {"do_sample": True, "top_k": 50},
    "words drawn": {"do_sample": True, "top_k": 0},
}
SCORED = DRAWN | {f"{way}, as read": {"min_label_probability": 0.9, **options} for way, options in DRAWN.items()}
"""Ways of writing that are scored; as read: what the model itself reads otherwise is written again."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("judge", nargs="?", help="text classifier with a class `acceptable`")
    parser.add_argument("--data_dir", required=True, help="folder with the release's sentiment.* files")
    parser.add_argument("--readings", type=Path, default=READINGS, help=f"file of verdicts (default {READINGS.name})")
    parser.add_argument("--judge", dest="sentiment", help="text classifier of sentiments: score what is written, too")
    parser.add_argument("--draw", type=int, metavar="SEED", help="write new sentences to read into --readings")
    parser.add_argument(
        "--checkpoint", default="spaces_app/yelp_sentiment", help="the model that writes for --draw and --judge"
    )
    options = parser.parse_args()
    corpus = load_corpus("yelp", data_dir=options.data_dir)
    if options.draw is not None:
        if options.readings.exists():
            parser.error(f"argument --readings: {options.readings} exists already")
        entries = draw_sentences(options.checkpoint, corpus, options.draw)
        write_text(options.readings, "[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n")
        return
    if options.judge is None:
        parser.error("give a judge, or --draw")
    readings = json.loads(options.readings.read_text("utf-8"))
    judge = load_judge(options.judge)
    print(tabulate(agreement(judge, readings, corpus), "keys", "github", floatfmt=".2f"))
    if options.sentiment is not None:
        rows = written_scores(options.checkpoint, corpus, load_judge(options.sentiment), judge)
        print("\n" + tabulate(rows, "keys", "github", floatfmt=".1f"))


def draw_sentences(checkpoint: str, corpus: Corpus, seed: int) -> list[dict]:
    """Return sentences of a checkpoint and real ones in random order, without verdicts."""
    model, tokenizer = LDEBMModel.from_pretrained(checkpoint).eval(), AutoTokenizer.from_pretrained(checkpoint)
    entries: list[dict] = []
    for way, arguments in WAYS.items():
        texts, _ = write_for_classes(model, tokenizer, corpus.label_names, PER_SOURCE // 2, seed=seed, **arguments)
        entries += [{"seed": seed, "source": way, "text": text, "acceptable": None} for text in texts]
    positions = np.random.default_rng(seed).permutation(len(corpus.validation))[:PER_SOURCE]
    for position in positions.tolist():
        entries.append({"seed": seed, "source": REAL, "position": position, "acceptable": None})
    return [entries[i] for i in np.random.default_rng(seed).permutation(len(entries))]


def agreement(judge: Judge, readings: Sequence[dict], corpus: Corpus) -> list[dict]:
    """Return a row for every seed and for all of them, and in it for each source; verdicts are those of `readings`."""
    texts = [entry["text"] if "text" in entry else corpus.validation.texts[entry["position"]] for entry in readings]
    (acceptable,) = judge.label_ids([ACCEPTABLE])
    probabilities = judge.probabilities(texts)
    by_judge, by_eye = probabilities.argmax(1) == acceptable, np.array([entry["acceptable"] for entry in readings])

    def row(name: str, chosen: Callable[[dict], bool]) -> dict:
        places = [place for place, entry in enumerate(readings) if chosen(entry)]
        eye, judged = by_eye[places], by_judge[places]
        has_both = 0 < eye.sum() < len(eye)
        return {
            "sentences": name,
            "number": len(places),
            "by eye %": 100 * eye.mean(),
            "by the judge %": 100 * judged.mean(),
            "agree %": 100 * np.mean(eye == judged),
            "kappa": cohen_kappa_score(eye, judged) if has_both else float("nan"),
            "AUC": roc_auc_score(eye, probabilities[places, acceptable]) if has_both else float("nan"),
        }

    rows = []
    for seed in sorted({entry["seed"] for entry in readings}):
        rows.append(row(f"seed {seed}", lambda entry, seed=seed: entry["seed"] == seed))
    for source in [*WAYS, REAL]:
        rows.append(row(source, lambda entry, source=source: entry["source"] == source))
    rows.append(row("written, all", lambda entry: entry["source"] != REAL))
    rows.append(row("all", lambda entry: True))
    return rows


def written_scores(checkpoint: str, corpus: Corpus, sentiments: Judge, judge: Judge) -> list[dict]:
    """Return a row for each way of writing, after those of real and of corrupted held-out sentences."""
    model, tokenizer = LDEBMModel.from_pretrained(checkpoint).eval(), AutoTokenizer.from_pretrained(checkpoint)
    rng, labels = np.random.default_rng(0), np.asarray(corpus.validation.labels)
    chosen = np.concatenate([rng.permutation(np.flatnonzero(labels == k))[:PER_SENTIMENT] for k in (0, 1)])
    real = in_vocabulary(tokenizer, [corpus.validation.texts[i] for i in chosen])
    corrupted = TextCorruption(in_vocabulary(tokenizer, corpus.train.texts))(real)

    def row(name: str, texts: list[str], requested: np.ndarray | None) -> dict:
        scores = acceptability(judge, texts)
        if requested is not None:
            scores |= accuracy_scores(sentiments, texts, corpus.label_names, requested)
        return {
            "sentences": name,
            "as asked %": 100 * scores.get("accuracy", float("nan")),
            "acceptable %": 100 * scores["acceptability"],
            "±": 100 * scores["acceptability_std_error"],
            "distinct-2 %": 100 * distinct_n(texts, 2),
        }

    rows = [row(REAL, real, labels[chosen]), row("corrupted sentences", corrupted, None)]
    for way, options in SCORED.items():
        rows.append(row(way, *write_for_classes(model, tokenizer, corpus.label_names, PER_SENTIMENT, **options)))
    return rows


if __name__ == "__main__":
    main()
