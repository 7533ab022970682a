"""The Penn Treebank as released by Mikolov: one tokenised sentence a line, no labels, rare words already `<unk>`."""

from __future__ import annotations

from pathlib import Path

from ..cleaning import read_text_split
from ..schema import Corpus

LICENSE = "LDC User Agreement (text of the Penn Treebank, research use)"


def load_ptb(data_dir: str | Path) -> Corpus:
    """PTB from `ptb.train.txt`, `ptb.valid.txt` and, if it is there, `ptb.test.txt` in `data_dir`."""
    folder, notes = Path(data_dir), []
    test_file = folder / "ptb.test.txt"
    return Corpus(
        name="ptb",
        train=read_text_split(folder / "ptb.train.txt", notes),
        validation=read_text_split(folder / "ptb.valid.txt", notes),
        test=read_text_split(test_file, notes) if test_file.exists() else None,
        license=LICENSE,
        notes=notes,
    )
