"""A data set of the Hugging Face Hub (or a local folder in its layout), through the `datasets` library."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .data_files import is_data_file
from .schema import Corpus
from .sources import TextSource
from .splits import hold_out
from .tables import build_splits, names_of_attributes

if TYPE_CHECKING:
    import datasets

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
VALIDATION_NAMES = ("validation", "valid", "val", "dev")


def is_hub_id(source: str) -> bool:
    """Whether a source is written as the id of a data set on the Hub, and is no file or folder here."""
    return HUB_ID.fullmatch(source) is not None and not is_data_file(source) and not Path(source).exists()


@dataclass
class HubSource(TextSource):
    """A data set that `datasets.load_dataset` loads.

    The splits are `train`, one of `VALIDATION_NAMES` (or else a stratified part of train) and `test` if there is one.
    The names of a `ClassLabel` column are taken over; in such a column -1 means unknown, as is the custom on the Hub.

    Args:
        id (`str`): `"owner/name"`, or a local folder, among others one that `save_to_disk` wrote.
        data_dir (`str` or `Path`, *optional*): a folder inside the data set's repository.
        text_column (`str`, *optional*, defaults to `"text"`): the column of texts.
        label_column (`str`, *optional*): the column of labels, strings, integers or a `ClassLabel`.
        attribute_columns (`str` or `Sequence[str]`, *optional*): further columns of classes, `"a,b"` or a sequence of
            names. Symbols are scored against these attributes; no training reads them.
        validation_fraction (`float`, *optional*, defaults to 0.1): where there is no validation split, the fraction
            of the training texts that is held out, the same for every class.
        missing_labels (`Sequence[str]` or `str`, *optional*): the marks that mean no label; see `LabelReader`.
    """

    id: str
    data_dir: str | Path | None = None
    text_column: str = "text"
    label_column: str | None = None
    attribute_columns: str | Sequence[str] | None = None
    validation_fraction: float = 0.1
    missing_labels: Sequence[str] | str | None = None

    @classmethod
    def title(cls) -> str:
        return "data sets of the Hub"

    def read(self) -> Corpus:
        loaded = fetch(self.id, data_dir=None if self.data_dir is None else str(self.data_dir))
        validation_name = next((name for name in VALIDATION_NAMES if name in loaded), None)
        chosen = [name for name in ("train", validation_name, "test") if name in loaded]
        class_columns = {self.label_column, *names_of_attributes(self.attribute_columns, self.text_column)}
        features = loaded["train"].features
        class_names = {name: names for name in class_columns if (names := getattr(features.get(name), "names", None))}
        tables = [(f"{self.id} ({name})", _columns(loaded[name], class_columns)) for name in chosen]

        notes: list[str] = []
        splits, label_names, attribute_names = build_splits(
            tables,
            self.text_column,
            self.label_column,
            notes,
            attribute_columns=self.attribute_columns,
            class_names=class_names,
            missing_labels=self.missing_labels,
        )
        named = dict(zip(chosen, splits, strict=True))
        train, validation = named["train"], named.get(validation_name)
        if validation is None:
            train, validation = hold_out(train, self.validation_fraction, self.seed)
            notes.append(f"validation: {len(validation):,} texts held out of train with seed {self.seed}")
        terms = loaded["train"].info.license or terms_on_card(self.id)
        return Corpus(self.id, train, validation, named.get("test"), label_names, terms, notes, attribute_names)


def terms_on_card(hub_id: str) -> str:
    """What stands for the licence of a data set that does not state one."""
    return f"see the card of the data set {hub_id}"


def fetch(source: str, **options) -> datasets.DatasetDict:
    """`datasets.load_dataset(source, **options)`, all splits.

    Raises:
        ImportError: `datasets` is not installed.
        ConnectionError: the data set cannot be loaded; the message says what `datasets` said.
        ValueError: no train split.
    """
    try:
        import datasets
    except ImportError as error:
        raise ImportError(f"loading {source!r} from the Hub needs datasets: pip install datasets") from error
    saved = load_from_disk(source)
    if saved is not None:
        return saved
    try:
        loaded = datasets.load_dataset(source, **options)
    except Exception as error:  # many kinds, from several libraries, with one remedy
        raise ConnectionError(
            f"cannot load the data set {source!r} ({type(error).__name__}: {error}). Check the id and the network, "
            "or download the files and give their path"
        ) from error
    if "train" not in loaded:
        raise ValueError(f"data set {source!r} has no train split; splits there are: {', '.join(map(repr, loaded))}")
    return loaded


def load_from_disk(source: str) -> datasets.DatasetDict | None:
    """What `save_to_disk` of a `Dataset` (as split train) or `DatasetDict` wrote to a folder; `None` for others.

    Raises:
        ValueError: no train split, or a damaged folder.
    """
    is_dict = Path(source, "dataset_dict.json").is_file()
    if not is_dict and not Path(source, "state.json").is_file():
        return None
    import datasets

    try:
        saved = datasets.load_from_disk(source)
    except Exception as error:  # many kinds, from several libraries
        raise ValueError(f"cannot read the data set saved in {source} ({type(error).__name__}: {error})") from error
    loaded = saved if is_dict else datasets.DatasetDict(train=saved)
    if "train" not in loaded:
        raise ValueError(f"data set {source!r} has no train split; splits there are: {', '.join(map(repr, loaded))}")
    return loaded


def _columns(dataset: datasets.Dataset, class_columns: set[str | None]) -> dict[str, list]:
    """The columns of a data set, class ids of a `ClassLabel` replaced by their names."""
    columns = {name: dataset[name][:] for name in dataset.column_names}
    for column in class_columns:
        names = getattr(dataset.features.get(column), "names", None)
        if names:
            columns[column] = [None if i in (None, -1) else names[i] for i in columns[column]]
    return columns
