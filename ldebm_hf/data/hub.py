"""A data set of the Hugging Face Hub (or a local directory in its layout), through the `datasets` library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .schema import Corpus
from .splits import hold_out
from .tables import build_splits, names_of_attributes

if TYPE_CHECKING:
    import datasets

VALIDATION_NAMES = ("validation", "valid", "val", "dev")


def load_hub(
    source: str,
    *,
    data_dir: str | Path | None = None,
    text_column: str = "text",
    label_column: str | None = None,
    attribute_columns: str | Sequence[str] | None = None,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> Corpus:
    """Load `source` with `datasets.load_dataset`.

    The splits are `train`, one of `VALIDATION_NAMES` (else a stratified share of train) and `test` if there is one.
    Names of a `ClassLabel` column are taken over; in such a column -1 means unknown, as is the custom on the Hub.

    Raises:
        ValueError: a column that is not there; the other errors are those of `fetch`.
    """
    loaded = fetch(source, data_dir=None if data_dir is None else str(data_dir))
    validation_name = next((name for name in VALIDATION_NAMES if name in loaded), None)
    chosen = [name for name in ("train", validation_name, "test") if name in loaded]
    class_columns = {label_column, *names_of_attributes(attribute_columns, text_column)}
    features = loaded["train"].features
    class_names = {name: names for name in class_columns if (names := getattr(features.get(name), "names", None))}
    tables = [(f"{source} ({name})", _columns(loaded[name], class_columns)) for name in chosen]

    notes: list[str] = []
    splits, label_names, attribute_names = build_splits(
        tables, text_column, label_column, notes, attribute_columns=attribute_columns, class_names=class_names
    )
    named = dict(zip(chosen, splits, strict=True))
    train, validation = named["train"], named.get(validation_name)
    if validation is None:
        train, validation = hold_out(train, validation_fraction, seed)
        notes.append(f"validation: {len(validation):,} texts held out of train with seed {seed}")
    terms = loaded["train"].info.license or f"see the card of the data set {source}"
    return Corpus(source, train, validation, named.get("test"), label_names, terms, notes, attribute_names)


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


def _columns(dataset: datasets.Dataset, class_columns: set[str | None]) -> dict[str, list]:
    """The columns of a data set, class ids of a `ClassLabel` replaced by their names."""
    columns = {name: dataset[name][:] for name in dataset.column_names}
    for column in class_columns:
        names = getattr(dataset.features.get(column), "names", None)
        if names:
            columns[column] = [None if i in (None, -1) else names[i] for i in columns[column]]
    return columns
