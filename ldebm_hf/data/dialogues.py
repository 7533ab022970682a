"""Dialogues as lists of turns, and the corpus in which every turn is a text of its own."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..model.dialogue_turns import context_of, marked
from .cleaning import clean_texts
from .schema import NO_LABEL, Corpus, Split
from .sources import ReleaseSource


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


SPEAKER_MARKERS = ("none", "context", "all")


@dataclass(frozen=True)
class ContextOptions:
    """How contexts are made: arguments of `dialogue_corpus`."""

    context_turns: int
    speaker_markers: str
    roles: dict[str, str]


@dataclass(kw_only=True)
class DialogueSource(ReleaseSource):
    """A published data set of dialogues, in which every turn is a text.

    Args:
        label_column (`str`, *optional*): the attribute of the turns that is taken as their label; without it they have
            no labels.
        keep_repeated (`bool`, *optional*, defaults to `True`): keep the validation and test dialogues that are also
            training dialogues.
        context_turns (`int`, *optional*, defaults to 0): the number of turns before a text that make up its context,
            `Split.contexts`, the begin marker counted as one (published: 5). With 0 texts have no context.
        speaker_markers (`str`, *optional*): the turns that start with their speaker's marker, `<usr>` or `<sys>`:
            `"none"`, those of a `"context"`, or `"all"`, texts included. Defaults to `published_markers` if there are
            contexts.

    Class attributes:
        attribute_names (`dict[str, list[str]]`): by attribute of the turns, the names of its classes.
        roles (`dict[str, str]`): by speaker, `user` or `assistant`, whose marker that is.
    """

    attribute_names: ClassVar[dict[str, list[str]]]
    roles: ClassVar[dict[str, str]]

    label_column: str | None = None
    keep_repeated: bool = True
    context_turns: int = 0
    speaker_markers: Literal["none", "context", "all"] | None = None

    @abstractmethod
    def read_dialogues(self, notes: list[str]) -> dict[str, list[Dialogue]]:
        """The dialogues of each split: train, validation and, if it is there, test. `notes` gets what was repaired."""

    def read(self) -> Corpus:
        markers = self.speaker_markers
        if markers is None:
            markers = self.published_markers if self.context_turns else "none"
        notes: list[str] = []
        corpus = dialogue_corpus(
            self.name,
            self.read_dialogues(notes),
            self.attribute_names,
            self.origin.license,
            notes,
            keep_repeated=self.keep_repeated,
            context_turns=self.context_turns,
            speaker_markers=markers,
            roles=self.roles,
        )
        return corpus if self.label_column is None else corpus.labelled_by(self.label_column)


def dialogue_corpus(
    name: str,
    dialogues: dict[str, list[Dialogue]],
    attribute_names: dict[str, list[str]],
    license: str,
    notes: list[str],
    *,
    keep_repeated: bool = True,
    context_turns: int = 0,
    speaker_markers: str = "none",
    roles: dict[str, str] | None = None,
) -> Corpus:
    """A corpus whose texts are the turns of all dialogues, in order, without labels, each perhaps with its context.

    Args:
        name (`str`), license (`str`): as in `Corpus`.
        dialogues (`dict[str, list[Dialogue]]`): by split: train, validation and perhaps test.
        attribute_names (`dict[str, list[str]]`): as in `Corpus`; every turn has a value of each attribute.
        notes (`list[str]`): notes of the reading, before those on dialogues, utterances and repetitions.
        keep_repeated (`bool`, *optional*, defaults to `True`): keep the validation and test dialogues that are also
            training dialogues, turn for turn.
        context_turns (`int`, *optional*, defaults to 0): the context of a text is so many of the turns before it, but
            for empty ones, and the begin marker before the first turn counts as one (published: 5). With 0 texts have
            no context.
        speaker_markers (`str`, *optional*, defaults to `"none"`): the turns that start with their speaker's marker,
            `"none"`, those of a `"context"`, or `"all"`, texts included; needs `context_turns`.
        roles (`dict[str, str]`, *optional*): by speaker, `user` or `assistant`, whose marker that is.

    Raises:
        ValueError: a split without any text, or `context_turns` or `speaker_markers` that are not allowed.
    """
    if context_turns < 0:
        raise ValueError(f"context_turns must be at least 0, got {context_turns}")
    if speaker_markers not in SPEAKER_MARKERS:
        raise ValueError(f"speaker_markers must be one of {', '.join(SPEAKER_MARKERS)}, got {speaker_markers!r}")
    if speaker_markers != "none" and not context_turns:
        raise ValueError(f"speaker_markers={speaker_markers!r} needs context_turns of at least 1, got 0")
    options = ContextOptions(context_turns, speaker_markers, roles or {})
    known = {dialogue.texts for dialogue in dialogues["train"]}
    splits = {}
    for split, all_of_split in dialogues.items():
        new = [dialogue for dialogue in all_of_split if split == "train" or dialogue.texts not in known]
        kept = all_of_split if keep_repeated else new
        if len(new) < len(all_of_split):
            what = "kept" if keep_repeated else "left out"
            count = f"{len(all_of_split) - len(new):,} of {len(all_of_split):,}"
            notes.append(f"{split}: {count} dialogues also stand in train ({what})")
        number = sum(len(dialogue.turns) for dialogue in kept)
        notes.append(f"{split}: {len(kept):,} dialogues of {number:,} utterances, each of them a text")
        splits[split] = split_of_dialogues(kept, list(attribute_names), f"{name} ({split})", notes, options)
    return Corpus(name=name, **splits, license=license, notes=notes, attribute_names=attribute_names)


def split_of_dialogues(
    dialogues: list[Dialogue], attributes: list[str], origin: str, notes: list[str], options: ContextOptions
) -> Split:
    """Every turn as a text, without label and with the `attributes` named; empty turns are dropped and counted."""
    turns = [(number, turn) for number, dialogue in enumerate(dialogues) for turn in dialogue.turns]
    texts, kept = clean_texts([turn.text for _, turn in turns], origin, notes)
    turns = [turns[i] for i in kept]
    ids = {attribute: [turn.attributes[attribute] for _, turn in turns] for attribute in attributes}
    labels = [NO_LABEL] * len(texts)
    if not options.context_turns:
        return Split(texts, labels, ids)
    said = texts
    if options.speaker_markers != "none":
        said = [marked(text, options.roles[turn.speaker]) for text, (_, turn) in zip(texts, turns, strict=True)]
    contexts, before, last = [], [], None
    for text, (number, _) in zip(said, turns, strict=True):
        if number != last:
            before, last = [], number
        contexts.append(context_of(before[-options.context_turns :], options.context_turns))
        before.append(text)
    return Split(said if options.speaker_markers == "all" else texts, labels, ids, contexts)
