"""A user's own texts in a file: labelled, partly labelled or not labelled at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .data_files import corpus_name, open_data_file
from .schema import Corpus
from .sources import TextSource
from .splits import hold_out
from .tables import build_splits

USERS_LICENSE = "the user's own data"


@dataclass
class FileSource(TextSource):
    """A table with a header and a column of texts, or a .txt file with one text a line.

    Args:
        path (`str` or `Path`): the file (see `open_data_file` for the types that are read).
        data_dir (`str` or `Path`, *optional*): the folder that relative paths start from.
        text_column (`str`, *optional*, defaults to `"text"`): the column of texts; ignored for .txt files.
        label_column (`str`, *optional*): the column of labels, strings or integers, empty where unknown.
        attribute_columns (`str` or `Sequence[str]`, *optional*): further columns of classes, `"a,b"` or a sequence of
            names. Symbols are scored against these attributes; no training reads them.
        validation_file (`str` or `Path`, *optional*): a second file, with the validation texts.
        validation_fraction (`float`, *optional*, defaults to 0.1): without `validation_file`, the fraction of the
            texts that is held out for validation, the same for every class.
        missing_labels (`Sequence[str]` or `str`, *optional*): the marks that mean no label; see `LabelReader`.
        encoding (`str`, *optional*): how the characters of text files are encoded; recognised if it is not given.
        sheet (`str`, *optional*): the sheet of Excel files; by default the first.
    """

    path: str | Path
    data_dir: str | Path | None = None
    text_column: str = "text"
    label_column: str | None = None
    attribute_columns: str | Sequence[str] | None = None
    validation_file: str | Path | None = None
    validation_fraction: float = 0.1
    missing_labels: Sequence[str] | str | None = None
    encoding: str | None = None
    sheet: str | None = None

    @classmethod
    def title(cls) -> str:
        return "files"

    def read(self) -> Corpus:
        notes: list[str] = []
        paths = file_and_validation_file(self.path, self.validation_file, self.data_dir)
        tables = []
        for path in paths:
            file = open_data_file(path, self.text_column, notes, encoding=self.encoding, sheet=self.sheet)
            file.require_columns(text_column=self.text_column)
            if not tables:
                file.require_columns(label_column=self.label_column)
            tables.append((path.name, file.read()))
        splits, label_names, attribute_names = build_splits(
            tables,
            self.text_column,
            self.label_column,
            notes,
            attribute_columns=self.attribute_columns,
            missing_labels=self.missing_labels,
        )
        if self.validation_file is not None:
            train, validation = splits
        else:
            train, validation = hold_out(splits[0], self.validation_fraction, self.seed)
            notes.append(f"validation: {len(validation):,} texts held out of {paths[0].name} with seed {self.seed}")
        return Corpus(
            corpus_name(paths[0]), train, validation, None, label_names, USERS_LICENSE, notes, attribute_names
        )


def file_and_validation_file(
    path: str | Path, validation_file: str | Path | None, data_dir: str | Path | None
) -> list[Path]:
    """The paths of the one or two files. Raises ValueError if they are the same file."""
    paths = [Path(data_dir or "", name) for name in (path, validation_file) if name is not None]
    if len(paths) == 2 and paths[0].resolve() == paths[1].resolve():
        raise ValueError(f"validation_file is the training file itself: {paths[0]}")
    return paths
