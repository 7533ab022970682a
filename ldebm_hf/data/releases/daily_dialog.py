"""DailyDialog (Li et al., IJCNLP 2017): everyday dialogues, each utterance with a dialogue act and an emotion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..cleaning import read_lines
from ..dialogues import Dialogue, DialogueSource, Turn
from ..hub import VALIDATION_NAMES, fetch
from ..sources import Origin
from ..tables import column_of

HUB_ID = "li2017dailydialog/daily_dialog"
HUB_REVISION = "refs/convert/parquet"
"""The branch with the Hub's own conversion: the main one holds a script, which `datasets` no longer runs."""
ATTRIBUTE_NAMES = {
    "act": ["inform", "question", "directive", "commissive"],
    "emotion": ["no emotion", "anger", "disgust", "fear", "happiness", "sadness", "surprise"],
}
RELEASED_IDS = {
    "act": {"1": 0, "2": 1, "3": 2, "4": 3},
    "emotion": {"0": 0, "1": 1, "2": 2, "3": 3, "4": 4, "5": 5, "6": 6},
}
"""Places in `ATTRIBUTE_NAMES` of the ids that the release has."""
SPEAKERS = ("first", "second")
END_OF_TURN = "__eou__"
# A quarter of the release's apostrophes are curly, nearly always all of a dialogue's or none: a trace of where it was
# taken from, which symbols would pick up.
STRAIGHT = str.maketrans("\u2018\u2019\u2032\u201c\u201d\u3002\u3001", "'''\"\".,")


@dataclass(kw_only=True)
class DailyDialog(DialogueSource):
    """DailyDialog with every utterance as a text, and its attributes `act` (4 names) and `emotion` (7 names).

    The files are those of the release (see `read_release`) or a copy of the Hub's data set in `data_dir`; without it
    the data set comes from the Hub. 69 of the 1,000 validation dialogues are also training dialogues.

    Texts keep the release's capitals and spaces. Lower-cased and with runs of punctuation separated from the words
    (`build_tokenizer(..., lowercase=True, split_punctuation=True)`), they have the tokens of the published
    experiments, except that curly quotes and a few Chinese full stops and commas become plain ones here.
    """

    name: ClassVar[str] = "daily_dialog"
    aliases: ClassVar[tuple[str, ...]] = (HUB_ID,)
    attribute_names: ClassVar[dict[str, list[str]]] = ATTRIBUTE_NAMES
    roles: ClassVar[dict[str, str]] = {"first": "user", "second": "assistant"}
    origin: ClassVar[Origin] = Origin(
        title="DailyDialog",
        description="utterances of everyday dialogues written for learners of English",
        license="cc-by-nc-sa-4.0",
        bias="The dialogues come from textbooks for learners of English: polite, conventional, with old-fashioned "
        "roles of women and men; dialogue acts and emotions are judgements of few annotators, and most utterances "
        "have none.",
        hub_id=HUB_ID,
    )

    def read_dialogues(self, notes: list[str]) -> dict[str, list[Dialogue]]:
        return read_daily_dialog(self.data_dir, notes)


def read_daily_dialog(data_dir: str | Path | None, notes: list[str]) -> dict[str, list[Dialogue]]:
    """The dialogues of each split: train, validation and, if it is there, test. Speakers are `first` and `second`.

    Args:
        data_dir (`str` or `Path`, *optional*): the folder of the release files (see `read_release`), or a copy of the
            Hub's data set. Without it the data set comes from the Hub.
        notes (`list[str]`): gets the counts of what was repaired.

    Raises:
        FileNotFoundError: a file is not there; the message names its path.
        ConnectionError: the Hub's data set cannot be loaded.
        ValueError: malformed content, with the file and the line.
    """
    if data_dir is None:
        return read_hub(HUB_ID, notes, revision=HUB_REVISION)
    folder = Path(data_dir)
    if not _find(folder / "train", "", "train").exists() and any(folder.rglob("*.parquet")):
        return read_hub(str(folder), notes)
    return read_release(folder, notes)


def read_release(folder: Path, notes: list[str]) -> dict[str, list[Dialogue]]:
    """The dialogues of `{train,validation,test}/dialogues{,_act,_emotion}.txt`; the test split may be missing.

    The files may also be called as in the release's archives, `train/dialogues{,_act,_emotion}_train.txt` and so on. A
    line is a dialogue, each of its turns ends with `__eou__`, and the other files' lines have one id per turn.
    """
    dialogues = {}
    for split in ("train", "validation", "test"):
        path, *attribute_paths = (_find(folder / split, kind, split) for kind in ("", "_act", "_emotion"))
        paths = dict(zip(ATTRIBUTE_NAMES, attribute_paths, strict=True))
        if split == "test" and not any(file.exists() for file in (path, *attribute_paths)):
            continue
        texts = [_turns(line) for line in _lines(path, notes)]
        ids = {attribute: [line.split() for line in _lines(paths[attribute], notes)] for attribute in paths}
        places = {"text": str(path)} | {attribute: str(file) for attribute, file in paths.items()}
        dialogues[split] = _dialogues(split, texts, ids, places, "line", notes)
    return dialogues


def read_hub(source: str, notes: list[str], **options) -> dict[str, list[Dialogue]]:
    """The dialogues of a data set on the Hub, or a folder in its layout: a row has lists `dialog`, `act`, `emotion`.

    `options` go to `datasets.load_dataset`.
    """
    loaded = fetch(source, **options)
    validation = next((name for name in VALIDATION_NAMES if name in loaded), None)
    if validation is None:
        raise ValueError(f"data set {source!r} has no validation split; splits there are: {', '.join(loaded)}")
    names = {"train": "train", "validation": validation, "test": "test"}
    dialogues = {}
    for split, name in names.items():
        if name in loaded:
            origin = f"{source} ({name})"
            columns = {column: loaded[name][column][:] for column in loaded[name].column_names}
            texts = column_of(columns, "dialog", "the turns", origin)
            ids = {name: column_of(columns, name, "an id per turn", origin) for name in ATTRIBUTE_NAMES}
            dialogues[split] = _dialogues(split, texts, ids, dict.fromkeys(("text", *ids), origin), "row", notes)
    return dialogues


def _find(folder: Path, kind: str, split: str) -> Path:
    """The file of a kind by either name; by the first, if neither is there."""
    short, long = folder / f"dialogues{kind}.txt", folder / f"dialogues{kind}_{split}.txt"
    return long if long.exists() and not short.exists() else short


def _lines(path: Path, notes: list[str]) -> list[str]:
    lines = read_lines(path, notes)
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _turns(line: str) -> list[str]:
    *turns, rest = line.split(END_OF_TURN)
    return [*turns, rest] if rest.strip() else turns


def _dialogues(
    split: str,
    texts: Sequence[Sequence[str]],
    ids: dict[str, Sequence[Sequence[str | int]]],
    places: dict[str, str],
    unit: str,
    notes: list[str],
) -> list[Dialogue]:
    """Dialogues from the turns' texts and ids; `places` is where either stands, `unit` what holds a dialogue there."""
    dialogues, num_straightened = [], 0
    for attribute in ids:
        if len(ids[attribute]) != len(texts):
            first = 1 + min(len(ids[attribute]), len(texts))
            raise ValueError(
                f"{places[attribute]}, {unit} {first}: {len(ids[attribute]):,} {unit}s, where {places['text']} has "
                f"{len(texts):,}"
            )
    for number, turns in enumerate(texts, start=1):
        if not turns:
            raise ValueError(f"{places['text']}, {unit} {number}: a dialogue without a turn")
        values = {}
        for attribute, of_dialogues in ids.items():
            place = f"{places[attribute]}, {unit} {number}"
            if len(of_dialogues[number - 1]) != len(turns):
                raise ValueError(f"{place}: {len(of_dialogues[number - 1])} ids for a dialogue of {len(turns)} turns")
            values[attribute] = [_class_id(value, attribute, place) for value in of_dialogues[number - 1]]
        straight = [turn.translate(STRAIGHT) for turn in turns]
        num_straightened += sum(one != other for one, other in zip(turns, straight, strict=True))
        dialogues.append(
            Dialogue(
                [
                    Turn(text.strip(), SPEAKERS[i % 2], {name: of_turns[i] for name, of_turns in values.items()})
                    for i, text in enumerate(straight)
                ]
            )
        )
    if num_straightened:
        notes.append(f"{split}: {num_straightened:,} utterances with curly quotes or the like (made plain)")
    return dialogues


def _class_id(value: str | int, attribute: str, place: str) -> int:
    ids = RELEASED_IDS[attribute]
    if str(value) not in ids:
        raise ValueError(f"{place}: {attribute} must be one of {', '.join(ids)}, found {value!r}")
    return ids[str(value)]
