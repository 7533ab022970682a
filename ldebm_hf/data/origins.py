"""What a model card says of the known data sets: what they are, their terms, and what is one-sided about them."""

from __future__ import annotations

from dataclasses import dataclass

from .releases import agnews, daily_dialog, jericho, ptb, smd, yelp

OWN_LICENSE = "apache-2.0"


@dataclass(frozen=True)
class Origin:
    """
    Args:
        title (`str`), description (`str`): what the data set is called, and what it consists of, as one clause.
        license (`str`): its terms, a licence's id on the Hub where there is one.
        bias (`str`): a sentence on what a model of it takes over.
        language (`str`, *optional*): ISO 639-1; `None` for points.
        hub_id (`str`, *optional*): where it is on the Hub.
    """

    title: str
    description: str
    license: str
    bias: str
    language: str | None = "en"
    hub_id: str | None = None


TOY = "The points are drawn from a toy distribution and stand for nothing."
ORIGINS = {
    "synthetic": Origin(
        "built-in synthetic corpus",
        "requests to an imaginary city assistant, drawn from a small grammar",
        OWN_LICENSE,
        "The sentences are made by a grammar of a few hundred words: good scores on them say that the machinery "
        "works, and little about real text.",
    ),
    "ptb": Origin(
        "Penn Treebank",
        "sentences of the Wall Street Journal of 1989, lower-cased, with rare words and numbers replaced",
        ptb.LICENSE,
        "The texts are financial news of one American newspaper in 1989, with its subjects, its view of who matters, "
        "and names of real persons and companies.",
    ),
    "yelp": Origin(
        "Yelp sentences (sentiment transfer)",
        "short sentences of business reviews in two sentiments, taken from the stars of the whole review",
        yelp.LICENSE,
        "The sentences are opinions of customers, mostly of restaurants in North America; the sentiment is that of "
        "the whole review and often not that of the sentence.",
    ),
    "daily_dialog": Origin(
        "DailyDialog",
        "utterances of everyday dialogues written for learners of English",
        daily_dialog.LICENSE,
        "The dialogues come from textbooks for learners of English: polite, conventional, with old-fashioned roles of "
        "women and men; dialogue acts and emotions are judgements of few annotators, and most utterances have none.",
        hub_id=daily_dialog.HUB_ID,
    ),
    "smd": Origin(
        "Stanford multi-domain dialogues",
        "turns of a driver and an assistant in a car about weather, calendar and places",
        smd.LICENSE,
        "The dialogues were invented by crowd workers around made-up knowledge bases: addresses, appointments and "
        "weather in them are not real.",
    ),
    "agnews": Origin(
        "AG News",
        "news items of four classes",
        agnews.LICENSE,
        "The items are English-language news of 2004 and 2005, about real persons and events as a selection of "
        "outlets saw them; whatever happened later is unknown to the model.",
        hub_id=agnews.HUB_ID,
    ),
    "jericho": Origin(
        "rooms of text adventures",
        "descriptions of places as text adventures print them",
        jericho.LICENSE,
        "The descriptions are works of a few dozen authors of games, whose style and phrases come back in samples.",
    ),
    "gaussians": Origin("Gaussians on a grid", "points of a mixture of 16 Gaussians", OWN_LICENSE, TOY, None),
    "pinwheel": Origin("pinwheel", "points of a pinwheel of ten arms", OWN_LICENSE, TOY, None),
}
"""By `data.source` of a run's settings. Of any other source only what its reader found out is known."""
