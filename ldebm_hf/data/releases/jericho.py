"""Rooms of text adventures, as games print them for `look` (as JerichoWorld, Ammanabrolu and Riedl, 2021)."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

from ..cleaning import clean_split, read_lines
from ..schema import NO_LABEL, Corpus, Split
from ..splits import check_validation_fraction

FILE = "rooms.train.jsonl"
FIELDS = {"rom": str, "room": str, "text": str, "variant": int}
LICENSE = "the games' authors'; research"


def load_jericho(data_dir: str | Path, *, validation_fraction: float = 0.1, seed: int = 0) -> Corpus:
    """Room descriptions from `rooms.train.jsonl` in `data_dir`: `rom` (the game), `room`, `text` and `variant` a line.

    Every description is a text on one line, with the attribute `game`. A room that was seen in several states has as
    many texts, which differ in a sentence or two; a text that a game has again, under another name of the room, is
    dropped. Whole games are held out, so that no room of the validation texts is also in train.

    Args:
        data_dir (`str` or `Path`): the folder of the file.
        validation_fraction (`float`, *optional*, defaults to 0.1): about this share of the texts is held out: games at
            random, as long as they fit into it, and at least one.
        seed (`int`, *optional*, defaults to 0): decides which games.

    Raises:
        FileNotFoundError: naming the path that was looked for.
        ValueError: malformed content, with the line; texts of a single game; a fraction outside 0 to 1.
    """
    check_validation_fraction(validation_fraction)
    path, notes = Path(data_dir, FILE), []
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
    held_out = _held_out_games([room["rom"] for room in kept], validation_fraction, seed)
    notes.append(f"validation: the games {', '.join(sorted(held_out))}")
    return Corpus(
        name="jericho",
        train=_split([room for room in kept if room["rom"] not in held_out], games, "train", notes),
        validation=_split([room for room in kept if room["rom"] in held_out], games, "validation", notes),
        license=LICENSE,
        notes=notes,
        attribute_names={"game": games},
    )


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
