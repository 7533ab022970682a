"""How well checkpoints of Yelp write for a sentiment, by the likeliest words and by drawn ones, beside real sentences.

    python benchmarks/writing.py outputs/yelp_both spaces_app/yelp_sentiment --data_dir data/yelp \\
        --judge outputs/judge --acceptability_judge outputs/acceptability --language_model outputs/lm \\
        --output_file outputs/writing.json

Nothing is resampled. All sentences are brought into the words of the release before they are scored, so that a model
that writes with capitals and one that does not are compared alike. The perplexity is that of a language model of the
release's words, which no checkpoint is built on. Prints a Markdown table; the file has the same figures and texts.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from tabulate import tabulate
from transformers import AutoTokenizer

from ldebm_hf import LDEBMModel
from ldebm_hf.baselines.corrupted_texts import TextCorruption
from ldebm_hf.data import load_corpus
from ldebm_hf.files.atomic import write_text
from ldebm_hf.scores import acceptability
from ldebm_hf.scores.conditional_generation import accuracy_scores, in_vocabulary, text_scores, write_for_classes
from ldebm_hf.scores.judging import load_judge

WAYS = {
    "likeliest words": {},
    "drawn at temperature 0.7": {"do_sample": True, "temperature": 0.7, "top_k": 0},
    "drawn": {"do_sample": True, "top_k": 0},
}
COLUMNS = {
    "accuracy": ("accuracy %", 100),
    "acceptability": ("acceptable %", 100),
    "perplexity": ("perplexity", 1),
    "distinct_2": ("distinct-2 %", 100),
    "distinct_texts": ("distinct texts %", 100),
    "self_bleu": ("self-BLEU", 1),
    "copied": ("copied %", 100),
    "words_per_text": ("words", 1),
    "cpu_seconds": ("CPU seconds", 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", help="folders of models")
    parser.add_argument("--data_dir", required=True, help="folder with the release's sentiment.* files")
    parser.add_argument("--judge", required=True, help="text classifier that judges the sentences")
    parser.add_argument("--acceptability_judge", help="text classifier that says whether sentences are acceptable")
    parser.add_argument("--language_model", required=True, help="model of preset rnn_lm, for perplexities")
    parser.add_argument("--num_samples", type=int, default=200, help="sentences per sentiment (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all draws (default 0)")
    parser.add_argument("--output_file", type=Path, required=True, help="JSON file for figures and sentences")
    options = parser.parse_args()
    judge = load_judge(options.judge)
    acceptability_judge = load_judge(options.acceptability_judge) if options.acceptability_judge else None
    language_model = LDEBMModel.from_pretrained(options.language_model)
    words = AutoTokenizer.from_pretrained(options.language_model)
    corpus = load_corpus("yelp", data_dir=options.data_dir)
    known = in_vocabulary(words, corpus.train.texts)

    def scores_of(texts: list[str], requested: np.ndarray) -> dict[str, float]:
        texts = in_vocabulary(words, texts)
        scores = accuracy_scores(judge, texts, corpus.label_names, requested)
        if acceptability_judge is not None:
            scores |= acceptability(acceptability_judge, texts)
        return scores | text_scores(texts, known, (language_model, words), options.seed)

    rng = np.random.default_rng(options.seed)
    labels = np.asarray(corpus.validation.labels)
    chosen = np.concatenate([rng.permutation(np.flatnonzero(labels == k))[: options.num_samples] for k in (0, 1)])
    real = [corpus.validation.texts[i] for i in chosen]
    found = {"real sentences": {"scores": scores_of(real, labels[chosen])}}
    if acceptability_judge is not None:
        corrupted = TextCorruption(known)(in_vocabulary(words, real), options.seed)
        found["real sentences, corrupted"] = {"scores": acceptability(acceptability_judge, corrupted)}
    for checkpoint in options.checkpoints:
        model = LDEBMModel.from_pretrained(checkpoint).eval()
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        for way, arguments in WAYS.items():
            start = time.process_time()
            texts, requested = write_for_classes(
                model, tokenizer, corpus.label_names, options.num_samples, seed=options.seed, **arguments
            )
            seconds = time.process_time() - start
            scores = scores_of(texts, requested) | {"cpu_seconds": seconds}
            found[f"{Path(checkpoint).name}, {way}"] = {"scores": scores, "texts": texts}
            write_text(options.output_file, json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    rows = [
        [name, *(scale * entry["scores"].get(column, float("nan")) for column, (_, scale) in COLUMNS.items())]
        for name, entry in found.items()
    ]
    print(tabulate(rows, ["", *(title for title, _ in COLUMNS.values())], tablefmt="github", floatfmt=".1f"))


if __name__ == "__main__":
    main()
