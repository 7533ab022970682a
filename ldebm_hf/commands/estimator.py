"""A model of texts in three lines, with the habits of scikit-learn: from a list of texts to a fitted pipeline."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.metrics import v_measure_score
from transformers.utils import logging

from ..experiments.checkpoint_explanation import (
    ExplanationSettings,
    explain_checkpoint,
    save_names,
    symbol_table,
    usage_summary,
)
from ..files.atomic import copy_file, write_text
from ..model.explanation import Explanation
from ..model.pipeline_ldebm import LDEBMPipeline
from ..model.text_reading import TextReader
from ..reports.run_record import CURVES, FACTS, METRICS, SETTINGS
from ..training.output_folder import OutputFolder
from ..training.publishing import push, write_card
from ..training.saved_runs import find_checkpoint
from .estimator_data import LABEL, TEXT, lines_of, name_of_label, names_of_labels, read_labels, read_texts, write_texts
from .fitted_sizes import by_section, plan_fit
from .train import train

TEXTS_FILE, ESTIMATOR_FILE = "texts.jsonl", "estimator.json"
"""Files in the folder of a fit: the texts, and the arguments of the estimator with the labels as they were given."""
RECORD = (SETTINGS, FACTS, METRICS, CURVES, ESTIMATOR_FILE)
"""What `save` copies beside the model."""
OWN_SETTINGS = ("source", "data", "label_column", "resume")
"""Settings that follow from what is fitted."""
BATCH_SIZE = 256


class LDEBM(TransformerMixin, BaseEstimator):
    """
    A latent diffusion energy-based model of texts that is fitted like an estimator of scikit-learn.

    ```python
    >>> model = LDEBM(output_dir="outputs/requests").fit(texts)     # or fit(texts, labels), as far as there are some
    >>> print(model.describe())                                     # the symbols, with names made of their words
    >>> model.write(0, 3)                                           # new texts for one of them, by its id or name
    ```

    [`fit`] writes the texts into `output_dir`, chooses a recipe and sizes that suit them, says so, and trains by the
    same code as `ldebm train`; a fit that was interrupted goes on when it is called again. The folder is that of a
    training: all commands and `from_pretrained` take it.

    Args:
        num_symbols (`int`, *optional*): Number of symbols; default: one for each label or, without labels, a quarter
            of the square root of the number of texts, from 2 to 50.
        output_dir (`str` or `Path`, *optional*): Folder of the fit; default: a temporary one, which is deleted with
            the estimator ([`save`] keeps the model). Leave it out for cross-validation, whose clones need folders of
            their own.
        encoder (`str`, *optional*, defaults to `"auto"`): A pretrained encoder that reads the texts, its folder or Hub
            id; `"auto"` takes `sentence-transformers/all-MiniLM-L6-v2` if it is in the cache of Hugging Face, and else
            learns from the texts alone, as `None` always does.
        seed (`int`, *optional*, defaults to 0): Seed of the initial weights, the order of the texts and all noise.
        verbose (`bool`, *optional*, defaults to `True`): Whether [`fit`] shows what it does.
        settings: Further settings of a training, by their names in `ldebm train --help-all`, such as
            `num_train_epochs=5` or `max_length=40`; `training__seed` where several sections have a name. They come
            before what is chosen here. `text_column="body"` names the column of the texts in tables and data sets.

    Attributes:
        pipeline_ ([`LDEBMPipeline`]): The fitted model with its tokenizer.
        folder_ (`Path`, *optional*): Where it is; `None` for a model of the Hub.
        classes_ (`np.ndarray` of shape `(num_symbols,)`): What each symbol stands for: the label as it was given or,
            without labels, its name.
    """

    def __init__(
        self,
        num_symbols: int | None = None,
        output_dir: str | Path | None = None,
        encoder: str | None = "auto",
        seed: int = 0,
        verbose: bool = True,
        **settings: Any,
    ):
        self.num_symbols = num_symbols
        self.output_dir = output_dir
        self.encoder = encoder
        self.seed = seed
        self.verbose = verbose
        self.settings = settings

    # ------------------------------------------------------------------------------------- what scikit-learn asks for

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments by name, `settings` among them."""
        return super().get_params(deep) | self.settings

    def set_params(self, **params: Any) -> Self:
        """
        Change arguments; a setting need not have been given before.

        Raises:
            ValueError: There is no such argument or setting.
        """
        for name, value in params.items():
            if name in self._get_param_names():
                setattr(self, name, value)
            else:
                by_section({name: value})
                self.settings = self.settings | {name: value}
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "pipeline_")

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_temporary", None)  # the folder belongs to the one that has made it
        return state

    # -------------------------------------------------------------------------------------------------------- fitting

    def fit(self, texts: Any, labels: Any = None) -> Self:
        """
        Train a model on texts, or go on where an earlier call in the same `output_dir` was stopped.

        Args:
            texts: Strings: a list, a NumPy array, a column of a pandas table or of a `datasets.Dataset`; or such a
                table or data set, whose column `text` is taken (or `text_column`).
            labels (*optional*): One for each text, strings or integers; `None` or NaN where there is none. Or the name
                of a column of `texts`. Symbols without labels get names made of their words.

        Returns:
            The estimator itself.

        Raises:
            OSError: A pretrained encoder that is given cannot be had.
            ValueError: An entry is no text or label (the message has its number); a setting is unknown or wrong; the
                texts are unfit; `output_dir` holds a fit of other texts or settings.
        """
        # 1. The texts, in a file of the folder.
        given = self._given_settings()
        found = read_texts(texts, self._text_column)
        known = None if labels is None else read_labels(labels, texts, len(found))
        num_labelled = 0 if known is None else sum(label is not None for label in known)
        self._labels = {} if known is None else names_of_labels(known)
        folder = self._make_folder()
        resume = None
        if _was_begun(folder) and str(self.settings.get("overwrite_output_dir", False)).lower() != "true":
            resume = "latest"
        content = lines_of(found, known if num_labelled else None)
        write_texts(folder / TEXTS_FILE, content, must_be_same=resume is not None)

        # 2. Settings that suit them.
        own = {
            "data": {"source": str(folder / TEXTS_FILE), "text_column": TEXT},
            "training": {"output_dir": str(folder), "seed": self.seed, "resume": resume},
        }
        if num_labelled:
            own["data"] |= {"label_column": LABEL, "missing_labels": []}
        with self._said():
            plan = plan_fit(own, given, self.encoder, len(found), num_labelled)
            print(plan.description)

            # 3. The training, and names for symbols that have none.
            train(plan.settings, plan.corpus)
            self._load(folder)
            if not num_labelled and self.pipeline_.model.has_symbols:
                self._name_symbols()
        self._write_arguments()
        return self

    def fit_predict(self, texts: Any, labels: Any = None) -> np.ndarray:
        """[`fit`], then [`predict`] of the same texts."""
        return self.fit(texts, labels).predict(texts)

    def fit_transform(self, texts: Any, labels: Any = None) -> np.ndarray:
        """[`fit`], then [`transform`] of the same texts."""
        return self.fit(texts, labels).transform(texts)

    def _given_settings(self) -> dict[str, dict[str, Any]]:
        """The settings of the user by section, without the name of the column, which is for what is given to `fit`."""
        for name in self.settings:
            if name in OWN_SETTINGS:
                raise ValueError(f"{name} follows from what LDEBM and fit are given, and is no setting to pass")
        given = by_section({name: value for name, value in self.settings.items() if name != "text_column"})
        if self.num_symbols is not None:
            given.setdefault("model", {})["num_symbols"] = self.num_symbols
        return given

    @property
    def _text_column(self) -> str:
        return self.settings.get("text_column", TEXT)

    def _make_folder(self) -> Path:
        if self.output_dir is not None:
            return Path(self.output_dir)
        self._temporary = tempfile.TemporaryDirectory(prefix="ldebm_", ignore_cleanup_errors=True)
        return Path(self._temporary.name)

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Show what is printed inside only if `verbose`, and no bars for loading and saving files."""
        nowhere, had_bars = io.StringIO(), logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            with nullcontext() if self.verbose else redirect_stdout(nowhere):
                with nullcontext() if self.verbose else redirect_stderr(nowhere):
                    yield
        finally:
            if had_bars:
                logging.enable_progress_bar()

    def _name_symbols(self) -> None:
        """Name the symbols by their words, in the folder, and write the report."""
        explained = explain_checkpoint(str(self.folder_), self._wanted_report(auto_names=True))
        print(f"{explained.describe()}\n\nWrote {explained.files[0]}")
        self._load(self.folder_)

    def _write_arguments(self) -> None:
        """Keep the arguments and the labels beside the model, for [`load`]."""
        content = {"params": self.get_params(), "labels": list(self._labels.items())}
        write_text(self.folder_ / ESTIMATOR_FILE, json.dumps(content, indent=1, default=str) + "\n")

    # -------------------------------------------------------------------------------------------------------- reading

    def predict(self, texts: Any) -> np.ndarray:
        """
        The likeliest symbol of each text, as in `classes_`: a label as it was given or, without labels, a name.

        Args:
            texts: As in [`fit`].
        """
        likeliest = self.predict_proba(texts).argmax(1)
        return self.classes_[likeliest]

    def predict_proba(self, texts: Any) -> np.ndarray:
        """The probabilities of the symbols, float32 `(num_texts, num_symbols)`, in the order of `classes_`."""
        pipe = self._pipeline()
        pipe.model.require_symbols()
        found = [
            pipe.model.infer_symbols(batch["input_ids"], batch["attention_mask"]).float().cpu().numpy()
            for batch, _ in self._batches(texts)
        ]
        return np.concatenate(found)

    def transform(self, texts: Any) -> np.ndarray:
        """The latents of texts, the means of their posteriors, float32 `(num_texts, total_latent_size)`."""
        return self._pipeline().latents(read_texts(texts, self._text_column))

    @torch.no_grad()
    def score(self, texts: Any, labels: Any = None) -> float:
        """
        How good the model is on texts; greater is better.

        Args:
            texts: As in [`fit`].
            labels (*optional*): As in [`fit`]; texts without one do not count.

        Returns:
            `float`: With labels, the fraction of texts whose label [`predict`] finds, if the model was fitted with
            labels, and else the V-measure of its symbols with them. Without labels, minus the mean number of nats that
            it takes to write a text from its latent.
        """
        pipe = self._pipeline()
        if labels is None:
            total = count = 0
            for batch, size in self._batches(texts):
                output = pipe.model(**batch, generator=self.seed, skip_logits=True)
                total, count = total - size * float(output.reconstruction_loss), count + size
            return total / count
        found = read_texts(texts, self._text_column)
        known = read_labels(labels, texts, len(found))
        labelled = [number for number, label in enumerate(known) if label is not None]
        if not labelled:
            raise ValueError(f"labels must be known for at least one text, got none for {len(found):,} texts")
        predicted = [name_of_label(label) for label in self.predict([found[number] for number in labelled]).tolist()]
        expected = [name_of_label(known[number]) for number in labelled]
        if self._labels:
            return float(np.mean([one == other for one, other in zip(predicted, expected, strict=True)]))
        return float(v_measure_score(expected, predicted))

    def classify(self, texts: Any, **options: Any) -> list[Any]:
        """The likeliest symbols of texts with their probabilities. Options and answers as of `model.classify`."""
        if not isinstance(texts, str):
            texts = read_texts(texts, self._text_column)
        return self._pipeline().classify(texts, **options)

    def explain(self, texts: Any = None, **options: Any) -> Explanation:
        """
        What each symbol is about: its share of the texts, its words, typical texts and texts written for it.

        Args:
            texts (*optional*): As in [`fit`]; default: those of the fit.
            options: As in `model.explain`.

        Raises:
            ValueError: No texts are given, and those of the fit are not in the folder.
        """
        pipe = self._pipeline()
        found = self._fitted_texts() if texts is None else read_texts(texts, self._text_column)
        return pipe.explain(found, **{"generator": self.seed, "show_progress": self.verbose, **options})

    def describe(self, texts: Any = None) -> str:
        """A table of the symbols, the most frequent first, as `ldebm explain` prints it; `texts` as in [`explain`]."""
        explanation = self.explain(texts, num_samples=1)
        return f"{symbol_table(explanation)}\n\n{usage_summary(explanation)}"

    def report(self, file: str | Path | None = None) -> Path:
        """
        Write the report of the symbols on the texts of the fit, `.html` and `.json`.

        Args:
            file (`str` or `Path`, *optional*): Where to; default: `report.html` in the folder.

        Returns:
            `Path` of the HTML file.
        """
        self._pipeline()
        self._fitted_texts()
        wanted = self._wanted_report(output=None if file is None else str(file))
        return explain_checkpoint(str(self.folder_), wanted).files[0]

    # -------------------------------------------------------------------------------------------------------- writing

    def write(self, symbols: Any = None, num_texts: int = 1, **options: Any) -> list[str]:
        """Write texts for symbols, by id or name, or from the whole prior. Options as of [`LDEBMPipeline.write`]."""
        return self._pipeline().write(symbols, num_texts, **options)

    def rename(self, names: dict[int | str, str] | Sequence[str]) -> Self:
        """
        Give symbols other names, also in the folder.

        Args:
            names (`dict` or `Sequence[str]`): By id or present name, or a name for every symbol.
        """
        model = self._pipeline().model
        model.name_symbols(names)
        if self.folder_ is not None:
            save_names(self.folder_ / "config.json", model.config.id2label)
        self._set_classes()
        return self

    # ------------------------------------------------------------------------------------------------ saving, loading

    def save(self, folder: str | Path) -> Path:
        """
        Save the model, its code, its tokenizer, the record of its training and its model card; not the texts.

        Args:
            folder (`str` or `Path`): A folder, which [`load`], `from_pretrained` and all commands take.
        """
        pipe, folder = self._pipeline(), Path(folder)
        if self.folder_ is None or self.folder_.resolve() != folder.resolve():
            pipe.save_pretrained(folder)
            for name in RECORD:
                if self.folder_ is not None and (self.folder_ / name).is_file():
                    copy_file(self.folder_ / name, folder / name)
            write_card(folder)
        return folder

    @classmethod
    def load(cls, checkpoint: str | Path) -> Self:
        """
        A fitted estimator from the folder of a fit, of [`save`] or of a training, or from the Hub.

        Raises:
            OSError: There is no such checkpoint.
            ValueError: It holds a model of points.
        """
        find_checkpoint(str(checkpoint))
        file = Path(checkpoint, ESTIMATOR_FILE)
        content = json.loads(file.read_text("utf-8")) if file.is_file() else {"params": {}, "labels": []}
        estimator = cls(**content["params"])
        estimator._labels = dict(content["labels"])
        estimator._load(checkpoint)
        return estimator

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """
        Push the model to the Hub, with its tokenizer, code, model card and the record of its training; not the texts.

        Args:
            repo_id (`str`): `"owner/name"`, or `"name"` for a repository of your own.
            options: As of [`push`][ldebm_hf.training.publishing.push], such as `private` (default `True`).

        Returns:
            `str`: The address of the repository.
        """
        pipe = self._pipeline()
        if self.folder_ is not None:
            return push(self.folder_, repo_id, **options)
        with tempfile.TemporaryDirectory() as folder:
            pipe.save_pretrained(folder)
            return push(folder, repo_id, **options)

    # --------------------------------------------------------------------------------------------------------- shared

    def _pipeline(self) -> LDEBMPipeline:
        if not hasattr(self, "pipeline_"):
            raise NotFittedError("this LDEBM is not fitted yet: call fit, or LDEBM.load for a model that is")
        return self.pipeline_

    def _fitted_texts(self) -> list[str]:
        """The texts of the fit, from its folder."""
        file = None if self.folder_ is None else self.folder_ / TEXTS_FILE
        if file is None or not file.is_file():
            raise ValueError("texts must be given: those of the fit are not with the model")
        return [json.loads(line)[TEXT] for line in file.read_text("utf-8").splitlines()]

    @torch.no_grad()
    def _batches(self, texts: Any) -> Iterator[tuple[dict[str, torch.Tensor], int]]:
        """What the model reads of the texts, and how many texts it is; then a warning of what it does not read."""
        pipe, found = self._pipeline(), read_texts(texts, self._text_column)
        reader = TextReader(pipe.tokenizer, pipe.model.config, encoder=pipe.model.encoder)
        for start in range(0, len(found), BATCH_SIZE):
            part = found[start : start + BATCH_SIZE]
            batch = reader(part).to(pipe.model.device)
            yield {name: batch[name] for name in ("input_ids", "attention_mask")}, len(part)
        reader.warn()

    def _wanted_report(self, **options: Any) -> ExplanationSettings:
        """A report on the texts of the fit."""
        common = {"seed": self.seed, "trust_remote_code": self._trusts_code}
        return ExplanationSettings(data=str(self.folder_ / TEXTS_FILE), **common, **options)

    @property
    def _trusts_code(self) -> bool:
        return bool(self.settings.get("trust_remote_code", False))

    def _load(self, checkpoint: str | Path) -> None:
        """Load the model of a checkpoint, and what its symbols stand for."""
        self.pipeline_ = LDEBMPipeline.from_pretrained(checkpoint, trust_remote_code=self._trusts_code)
        self.folder_ = Path(checkpoint) if Path(checkpoint).is_dir() else None
        self._set_classes()

    def _set_classes(self) -> None:
        """Set `classes_`: labels in the form in which they were given, and names of other symbols."""
        config = self.pipeline_.model.config
        if not self.pipeline_.model.has_symbols:
            return
        symbols = [config.id2label[symbol] for symbol in range(config.num_labels)]
        values = [self._labels.get(name, name) for name in symbols]
        is_mixed = len({type(value) for value in values}) > 1
        self.classes_ = np.array(values, dtype=object if is_mixed else None)


def _was_begun(folder: Path) -> bool:
    """Whether a training has left something in a folder that it can go on from."""
    run = OutputFolder(folder)
    return run.best.exists() or any(run.checkpoints.glob("step-*"))
