"""Dialogues as lists of turns, and the corpus in which every turn is a text of its own."""

from __future__ import annotations

from dataclasses import dataclass

from .cleaning import clean_split
from .schema import NO_LABEL, Corpus, Split


@dataclass(frozen=True)
class Turn:
    """What one speaker says before the other does.

    Args:
        text (`str`): as released; empty where the release has an empty turn.
        speaker (`str`): who says it, by a name that is the same throughout the data set.
        attributes (`dict[str, int]`): by name, class ids into the corpus's `attribute_names[name]`.
    """

    text: str
    speaker: str
    attributes: dict[str, int]


@dataclass(frozen=True)
class Dialogue:
    """Turns in the order in which they are said.

    Args:
        turns (`list[Turn]`): at least one.
    """

    turns: list[Turn]

    @property
    def texts(self) -> tuple[str, ...]:
        """What is said, turn by turn."""
        return tuple(turn.text for turn in self.turns)


def dialogue_corpus(
    name: str,
    dialogues: dict[str, list[Dialogue]],
    attribute_names: dict[str, list[str]],
    license: str,
    notes: list[str],
    *,
    keep_repeated: bool = True,
) -> Corpus:
    """A corpus whose texts are the turns of all dialogues, in order, without labels.

    Args:
        name (`str`), license (`str`): as in `Corpus`.
        dialogues (`dict[str, list[Dialogue]]`): by split: train, validation and perhaps test.
        attribute_names (`dict[str, list[str]]`): as in `Corpus`; every turn has a value of each attribute.
        notes (`list[str]`): notes of the reading, before those on dialogues, utterances and repetitions.
        keep_repeated (`bool`, *optional*, defaults to `True`): keep the validation and test dialogues that are also
            training dialogues, turn for turn.

    Raises:
        ValueError: a split without any text.
    """
    known = {dialogue.texts for dialogue in dialogues["train"]}
    splits = {}
    for split, all_of_split in dialogues.items():
        new = [dialogue for dialogue in all_of_split if split == "train" or dialogue.texts not in known]
        kept = all_of_split if keep_repeated else new
        if len(new) < len(all_of_split):
            what = "kept" if keep_repeated else "left out"
            count = f"{len(all_of_split) - len(new):,} of {len(all_of_split):,}"
            notes.append(f"{split}: {count} dialogues also stand in train ({what})")
        turns = [turn for dialogue in kept for turn in dialogue.turns]
        notes.append(f"{split}: {len(kept):,} dialogues of {len(turns):,} utterances, each of them a text")
        splits[split] = split_of_turns(turns, list(attribute_names), f"{name} ({split})", notes)
    return Corpus(name=name, **splits, license=license, notes=notes, attribute_names=attribute_names)


def split_of_turns(turns: list[Turn], attributes: list[str], origin: str, notes: list[str]) -> Split:
    """Every turn as a text, without label and with the `attributes` named; empty turns are dropped and counted."""
    ids = {attribute: [turn.attributes[attribute] for turn in turns] for attribute in attributes}
    return clean_split([turn.text for turn in turns], [NO_LABEL] * len(turns), origin, notes, ids)
