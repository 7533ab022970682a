"""The Penn Treebank as released by Mikolov: one tokenised sentence a line, no labels, rare words already `<unk>`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..cleaning import read_text_split
from ..schema import Corpus
from ..sources import Origin, ReleaseSource


@dataclass(kw_only=True)
class PTB(ReleaseSource):
    """PTB from `ptb.train.txt`, `ptb.valid.txt` and, if it is there, `ptb.test.txt`."""

    name: ClassVar[str] = "ptb"
    files: ClassVar[str] = "ptb.train.txt and ptb.valid.txt"
    is_tokenised: ClassVar[bool] = True
    origin: ClassVar[Origin] = Origin(
        title="Penn Treebank",
        description="sentences of the Wall Street Journal of 1989, lower-cased, with rare words and numbers replaced",
        license="LDC User Agreement (text of the Penn Treebank, research use)",
        bias="The texts are financial news of one American newspaper in 1989, with its subjects, its view of who "
        "matters, and names of real persons and companies.",
    )

    def read(self) -> Corpus:
        notes: list[str] = []
        test_file = self.folder / "ptb.test.txt"
        return Corpus(
            name=self.name,
            train=read_text_split(self.folder / "ptb.train.txt", notes),
            validation=read_text_split(self.folder / "ptb.valid.txt", notes),
            test=read_text_split(test_file, notes) if test_file.exists() else None,
            license=self.origin.license,
            notes=notes,
        )
