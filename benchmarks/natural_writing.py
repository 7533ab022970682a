"""How well the Yelp checkpoint reads sentences as people write them, beside the same sentences as released.

    python benchmarks/natural_writing.py --data_dir ../shared/data/yelp

Validation sentences of the release, which are tokenised, are written again as people do: marks attached, capitals,
contractions, numbers in digits; and in capitals. Prints a Markdown table: the share of sentences whose sentiment the
checkpoint reads rightly, of all and of those of at most five words, and the share of unknown words. The code that
writes the sentences is none of the package's.
"""

import argparse
import random
import re
from pathlib import Path

from ldebm_hf import LDEBMPipeline
from ldebm_hf.data import load_corpus
from ldebm_hf.model.text_reading import TextReader

CHECKPOINT = Path(__file__).resolve().parents[1] / "spaces_app" / "yelp_sentiment"
SHORT = 5
ATTACHED_LEFT = {".", ",", "!", "?", ";", ":", ")", "]", "%", "''"}
ATTACHED_RIGHT = {"(", "[", "$", "#", "``"}
CONTRACTED = {"n't", "'s", "'m", "'re", "'ve", "'ll", "'d"}


def written_naturally(line: str, seed: int = 0) -> str:
    """`i wo n't pay $ _num_ !` as "I won't pay $35!": marks attached, capitals, contractions, numbers in digits; the
    apostrophes of every other text are typographic ones, as telephones write them."""
    rng = random.Random(f"{seed} {line}")
    text, glue = "", True
    for word in line.split():
        if word == "_num_":
            word = rng.choice(["3", "12", "20", "45", "100", "2.50", "1,500"])
        elif word == "i":
            word = "I"
        is_attached = word in ATTACHED_LEFT or word in CONTRACTED
        shown = '"' if word in ("``", "''") else word
        text += shown if glue or is_attached else f" {shown}"
        glue = word in ATTACHED_RIGHT
    text = re.sub(r"\b(gon na|got ta|wan na|can not)\b", lambda match: match[0].replace(" ", ""), text)
    text = re.sub(r'(^["(]*|[.!?] ["(]*)([a-z])', lambda match: match[1] + match[2].upper(), text)
    return text.replace("'", "’") if rng.random() < 0.5 else text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, help="folder with the release's sentiment.* files")
    parser.add_argument("--checkpoint", default=str(CHECKPOINT), help="default: the one in spaces_app")
    options = parser.parse_args()
    pipe = LDEBMPipeline.from_pretrained(options.checkpoint)
    split = load_corpus("yelp", data_dir=options.data_dir).validation
    natural = [written_naturally(text) for text in split.texts]
    writings = {
        "as released": split.texts,
        "naturally written": natural,
        "naturally, in lower case": [text.lower() for text in natural],
        "in capitals": [text.upper() for text in natural],
        "naturally, without the last mark": [text.rstrip(".!?") for text in natural],
    }
    is_short = [len(text.split()) <= SHORT for text in split.texts]
    print(f"| sentences | all {len(natural):,} | {sum(is_short):,} of at most {SHORT} words | unknown words |")
    print("|---|---|---|---|")
    for name, texts in writings.items():
        reader = TextReader(pipe.tokenizer, pipe.model.config)
        reader(texts)
        found = pipe.classify(texts)
        is_right = [pipe.model.config.label2id[x["label"]] == y for x, y in zip(found, split.labels, strict=True)]
        of_short = [right for right, short in zip(is_right, is_short, strict=True) if short]
        unknown = reader.unread.num_unknown_words / reader.unread.num_words
        print(f"| {name} | {mean(is_right):.2%} | {mean(of_short):.2%} | {unknown:.2%} |")


def mean(values: list[bool]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
