"""Stanford multi-domain dialogues (Eric et al., SIGDIAL 2017; "kvret"): a driver and an assistant in a car."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ..cleaning import read_text
from ..dialogues import Dialogue, DialogueSource, Turn
from ..sources import Origin

ATTRIBUTE_NAMES = {"intent": ["navigate", "schedule", "weather"], "speaker": ["driver", "assistant"]}


@dataclass(kw_only=True)
class SMD(DialogueSource):
    """SMD from `kvret_{train,dev}_public.json` and, if it is there, `kvret_test_public.json`.

    Every turn of both speakers is a text, with the attributes `intent` (that of its dialogue) and `speaker`. Texts
    keep their capitals, as in the published experiments, which put the speaker's marker before them.
    """

    name: ClassVar[str] = "smd"
    files: ClassVar[str] = "kvret_{train,dev}_public.json"
    published_markers: ClassVar[Literal["none", "context", "all"]] = "all"
    attribute_names: ClassVar[dict[str, list[str]]] = ATTRIBUTE_NAMES
    roles: ClassVar[dict[str, str]] = {"driver": "user", "assistant": "assistant"}
    origin: ClassVar[Origin] = Origin(
        title="Stanford multi-domain dialogues",
        description="turns of a driver and an assistant in a car about weather, calendar and places",
        license="terms of the Stanford multi-domain dialogue release (kvret)",
        bias="The dialogues were invented by crowd workers around made-up knowledge bases: addresses, appointments "
        "and weather in them are not real.",
    )

    def read_dialogues(self, notes: list[str]) -> dict[str, list[Dialogue]]:
        return read_smd(self.folder, notes)


def read_smd(data_dir: str | Path, notes: list[str]) -> dict[str, list[Dialogue]]:
    """The dialogues of each split: train, validation and, if it is there, test; without those that have no turn.

    Args:
        data_dir (`str` or `Path`): the folder of the release files.
        notes (`list[str]`): gets the counts of what was repaired or left out.

    Raises:
        FileNotFoundError: a file is not there; the message names its path.
        ValueError: malformed content, with the file and the number of the dialogue.
    """
    dialogues = {}
    for split, name in {"train": "train", "validation": "dev", "test": "test"}.items():
        path = Path(data_dir, f"kvret_{name}_public.json")
        if split == "test" and not path.exists():
            continue
        try:
            release = json.loads(read_text(path, notes))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: not valid JSON ({error})") from error
        if not isinstance(release, list):
            raise ValueError(f"{path}: expected a list of dialogues, found {type(release).__name__}")
        read = [_dialogue(entry, f"{path}, dialogue {number}") for number, entry in enumerate(release, start=1)]
        dialogues[split] = [dialogue for dialogue in read if dialogue.turns]
        if len(dialogues[split]) < len(read):
            notes.append(f"{path.name}: {len(read) - len(dialogues[split]):,} dialogues without a turn left out")
    return dialogues


def _dialogue(entry: dict, place: str) -> Dialogue:
    try:
        intent = entry["scenario"]["task"]["intent"]
        turns = [(turn["turn"], turn["data"]["utterance"]) for turn in entry["dialogue"]]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{place}: expected scenario.task.intent and dialogue[].turn and .data.utterance ({error!r})"
        ) from error
    for value, attribute in ((intent, "intent"), *((speaker, "speaker") for speaker, _ in turns)):
        if value not in ATTRIBUTE_NAMES[attribute]:
            allowed = ", ".join(ATTRIBUTE_NAMES[attribute])
            raise ValueError(f"{place}: {attribute} must be one of {allowed}, found {value!r}")
    for _, text in turns:
        if not isinstance(text, str):
            raise ValueError(f"{place}: an utterance must be a string, found {text!r}")
    of_dialogue = ATTRIBUTE_NAMES["intent"].index(intent)
    return Dialogue(
        [
            Turn(text, speaker, {"intent": of_dialogue, "speaker": ATTRIBUTE_NAMES["speaker"].index(speaker)})
            for speaker, text in turns
        ]
    )
