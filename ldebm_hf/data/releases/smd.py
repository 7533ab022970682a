"""Stanford multi-domain dialogues (Eric et al., SIGDIAL 2017; "kvret"): a driver and an assistant in a car."""

from __future__ import annotations

import json
from pathlib import Path

from ..cleaning import read_text
from ..dialogues import Dialogue, Turn, dialogue_corpus
from ..schema import Corpus

LICENSE = "terms of the Stanford multi-domain dialogue release (kvret)"
ATTRIBUTE_NAMES = {"intent": ["navigate", "schedule", "weather"], "speaker": ["driver", "assistant"]}
ROLES = {"driver": "user", "assistant": "assistant"}


def load_smd(
    data_dir: str | Path,
    *,
    keep_repeated: bool = True,
    context_turns: int = 0,
    speaker_markers: str = "none",
) -> Corpus:
    """SMD from `kvret_{train,dev}_public.json` and, if it is there, `kvret_test_public.json` in `data_dir`.

    Every turn of both speakers is a text, with the attributes `intent` (that of its dialogue) and `speaker`. Texts are
    raw, capitals and all; the published experiments kept those and put the speaker's mark `<usr>` or `<sys>` first.

    Args:
        data_dir (`str` or `Path`): the folder of the release files.
        keep_repeated (`bool`, *optional*, defaults to `True`): keep the validation and test dialogues that also stand
            in train.
        context_turns (`int`, *optional*, defaults to 0), speaker_markers (`str`, *optional*, defaults to `"none"`): as
            in `dialogue_corpus`.

    Raises:
        FileNotFoundError: naming the path that was looked for.
        ValueError: malformed content, with the file and the dialogue.
    """
    notes: list[str] = []
    dialogues = read_smd(data_dir, notes)
    return dialogue_corpus(
        "smd",
        dialogues,
        ATTRIBUTE_NAMES,
        LICENSE,
        notes,
        keep_repeated=keep_repeated,
        context_turns=context_turns,
        speaker_markers=speaker_markers,
        roles=ROLES,
    )


def read_smd(data_dir: str | Path, notes: list[str]) -> dict[str, list[Dialogue]]:
    """The dialogues of each split: train, validation and, if it is there, test; without those that have no turn.

    Errors are those of `load_smd`; `notes` gets the counts of what was repaired or left out.
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
