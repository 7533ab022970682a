"""Tokenised sentences of the Yelp release written again as people write them; a detokenizer that shares no code with
the package's."""

import random
import re

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
