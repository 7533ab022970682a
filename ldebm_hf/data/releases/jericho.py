"""Rooms of text adventures, as games print them for `look` (as JerichoWorld, Ammanabrolu and Riedl, 2021)."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from ..cleaning import clean_split, read_lines
from ..schema import NO_LABEL, Corpus, Split
from ..sources import Origin, ReleaseSource
from ..splits import check_validation_fraction

FILE = "rooms.train.jsonl"
FIELDS = {"rom": str, "room": str, "text": str, "variant": int}


@dataclass(kw_only=True)
class Jericho(ReleaseSource):
    """Room descriptions from `rooms.train.jsonl`: `rom` (the game), `room`, `text` and `variant` in each line.

    Every description is a text on one line, with the attribute `game`. A room that was seen in several states has
    several texts, which differ in a sentence or two; a text that a game repeats under another name of the room is
    dropped. Whole games are held out, so that no room of the validation texts is also a training room.

    Args:
        label_column (`str`, *optional*): `"game"` takes the games as labels; without it there are no labels.
        validation_fraction (`float`, *optional*, defaults to 0.1): about this fraction of the texts is held out: games
            at random as long as they fit into it, and at least one.
    """

    name: ClassVar[str] = "jericho"
    files: ClassVar[str] = FILE
    origin: ClassVar[Origin] = Origin(
        title="rooms of text adventures",
        description="descriptions of places as text adventures print them",
        license="the games' authors'; research",
        bias="The descriptions are works of a few dozen authors of games, whose style and phrases come back in "
        "samples.",
    )

    label_column: str | None = None
    validation_fraction: float = 0.1

    def read(self) -> Corpus:
        check_validation_fraction(self.validation_fraction)
        path, notes = self.folder / FILE, []
        rooms = [_room(line, f"{path}, line {number}") for number, line in enumerate(read_lines(path, notes), start=1)]
        distinct: dict[tuple[str, str], dict] = {}
        for room in rooms:
            distinct.setdefault((room["rom"], " ".join(room["text"].split())), room)
        kept = list(distinct.values())
        if len(kept) < len(rooms):
            notes.append(f"{FILE}: {len(rooms) - len(kept):,} texts that their game has already dropped")
        places = {(room["rom"], room["room"]) for room in kept}
        other_states = len(kept) - len(places)
        notes.append(f"{FILE}: {len(kept):,} texts of {len(places):,} rooms, {other_states:,} of them of other states")
        games = sorted({room["rom"] for room in kept})
        if len(games) < 2:
            raise ValueError(f"{path}: whole games are held out, which needs at least 2, found {games}")
        held_out = _held_out_games([room["rom"] for room in kept], self.validation_fraction, self.seed)
        notes.append(f"validation: the games {', '.join(sorted(held_out))}")
        corpus = Corpus(
            name=self.name,
            train=_split([room for room in kept if room["rom"] not in held_out], games, "train", notes),
            validation=_split([room for room in kept if room["rom"] in held_out], games, "validation", notes),
            license=self.origin.license,
            notes=notes,
            attribute_names={"game": games},
        )
        return corpus if self.label_column is None else corpus.labelled_by(self.label_column)


def _room(line: str, place: str) -> dict:
    try:
        room = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not valid JSON ({error})") from error
    if not isinstance(room, dict) or any(not isinstance(room.get(name), kind) for name, kind in FIELDS.items()):
        raise ValueError(f"{place}: expected an object with {', '.join(FIELDS)}, found {line[:80]!r}")
    return room


def _held_out_games(game_of_text: list[str], fraction: float, seed: int) -> set[str]:
    sizes = Counter(game_of_text)
    order = sorted(sizes)
    random.Random(f"games-{seed}").shuffle(order)
    room_left, held_out = fraction * len(game_of_text), set()
    for game in order:
        if sizes[game] <= room_left:
            held_out.add(game)
            room_left -= sizes[game]
    return held_out or {min(order, key=lambda game: sizes[game])}


def _split(rooms: list[dict], games: list[str], split: str, notes: list[str]) -> Split:
    ids = {"game": [games.index(room["rom"]) for room in rooms]}
    return clean_split([room["text"] for room in rooms], [NO_LABEL] * len(rooms), f"jericho ({split})", notes, ids)
