"""Tables of the paper as YAML: which recipe, which rows, what is measured, and the paper's own figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from .studies import Changes, Scores, StudyRun, merge, read_recipe

ARCHITECTURE = ("num_symbols", "latent_size", "embedding_size", "encoder_hidden_size", "decoder_hidden_size",
                "dropout", "energy_hidden_size", "energy_num_blocks", "context_size",
                "context_hidden_size")  # fmt: skip
"""What a row with another preset keeps of the recipe's model: sizes, so that rows differ in what they are about."""
LANGUAGE_MODEL = "language_model"
Measure = Literal["reading", "control", "responses"]


@dataclass
class PaperTable:
    """
    A table.

    Args:
        name (`str`): its file's name.
        title (`str`): a line for its reader.
        recipe (`str`): name of the recipe that all rows start from.
        measure (`str`): `"reading"` (reconstructions and symbols), `"control"` (sentences written for classes) or
            `"responses"` (answers in a dialogue).
        rows (`dict`): by name, how a row's settings differ from the recipe's.
        text_clusters (`list[str]`): more rows, without a model: ways of clustering of `ldebm_hf.text_clusters`.
        published (`dict`): by name of a row, the paper's scores, under the names that ours have.
        language_model (`dict`, *optional*): settings over the recipe's of the model whose perplexity is reported.
        guidance_scales (`list[float]`): at which control is measured too.
        num_samples (`int`): sentences per class.
        study (`str`): the folder of its runs, which tables may share; default the table's name.
        shown_symbols (`int`), shown_sentences (`int`): so many symbols, or sentences of each class or responses, are
            listed.
    """

    name: str
    title: str
    recipe: str
    measure: Measure
    rows: dict[str, Changes]
    text_clusters: list[str] = field(default_factory=list)
    published: dict[str, Scores] = field(default_factory=dict)
    language_model: Changes = field(default_factory=dict)
    guidance_scales: list[float] = field(default_factory=list)
    num_samples: int = 500
    study: str = ""
    shown_symbols: int = 0
    shown_sentences: int = 0

    @classmethod
    def load(cls, path: str | Path) -> PaperTable:
        """Read a table from a YAML file.

        Raises:
            FileNotFoundError: no such file. ValueError: an entry that is unknown or lacks.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"no table {str(path)!r} (--config)")
        values: dict[str, Any] = yaml.safe_load(Path(path).read_text("utf-8"))
        try:
            content = cls(name=Path(path).stem, **values)
        except TypeError as error:
            raise ValueError(f"{path}: {error}") from error
        if content.measure not in Measure.__args__:
            raise ValueError(f"{path}: measure must be one of {', '.join(Measure.__args__)}, got {content.measure!r}")
        content.study = content.study or content.name
        content.rows = {name: changes or {} for name, changes in content.rows.items()}
        return content

    def run(self, row: str, seed: int, recipes: Path, folder: Path, changes: Changes) -> StudyRun:
        """One run of a row, or of the language model, `changes` over all else; the errors are those of `Settings`."""
        of_row = self.language_model if row == LANGUAGE_MODEL else self.rows.get(row, {})
        recipe = read_recipe(recipes / f"{self.recipe}.yaml")
        if "preset" in of_row.get("model", {}):
            recipe["model"] = {name: value for name, value in recipe["model"].items() if name in ARCHITECTURE}
        return StudyRun.of(row, seed, folder / self.study / row / str(seed), merge(recipe, of_row, changes))
