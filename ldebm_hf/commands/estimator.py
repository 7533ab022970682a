"""A model of texts in three lines, with the habits of scikit-learn: from a list of texts to a fitted pipeline."""

from __future__ import annotations

import io
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
from sklearn.utils import ClassifierTags, Tags
from transformers.utils import logging

from ..experiments.checkpoint_explanation import (
    ExplanationSettings,
    explain_checkpoint,
    symbol_table,
    usage_summary,
)
from ..model.explanation import Explanation
from ..model.modeling_ldebm import LDEBMModel
from ..model.pipeline_ldebm import LDEBMPipeline
from ..model.text_reading import TextReader
from ..reports.estimator_file import EstimatorFile, check_params
from ..reports.run_record import ESTIMATOR
from ..reports.saved_symbols import save_symbols, symbols_restored_on_error
from ..training.publishing import push
from ..training.saved_runs import find_beside_model, find_checkpoint
from ..training.settings import known_settings
from ..training.typed_values import convert
from .estimator_data import (
    LABEL,
    TEXT,
    lines_of,
    name_of_label,
    names_of_labels,
    read_labels,
    read_texts,
    texts_written,
)
from .fit_folder import TEXTS_FILE, TITLE, labels_of_training, save_fit, texts_of_fit, train_in_folder, was_begun
from .fitted_sizes import by_section, plan_fit

OWN_SETTINGS = ("data.source", "data.data_dir", "data.label_column", "training.output_dir", "training.resume")
"""Settings that follow from what is fitted."""
TRUST = "training.trust_remote_code"
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
        classes_ (`np.ndarray` of shape `(num_symbols,)`): What the symbols stand for: with labels these as they were
            given, sorted; without labels the names, by id.
        symbols_ (`np.ndarray` of shape `(num_symbols,)`): The id of the symbol of each class.
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

    def __sklearn_tags__(self) -> Tags:
        """A classifier, so that folds are stratified where there are labels; fitted without labels a clusterer."""
        tags = super().__sklearn_tags__()
        is_classifier = not hasattr(self, "pipeline_") or bool(self._labels)
        tags.estimator_type = "classifier" if is_classifier else "clusterer"
        tags.classifier_tags = ClassifierTags() if is_classifier else None
        tags.input_tags.one_d_array, tags.input_tags.two_d_array, tags.input_tags.string = True, False, True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "pipeline_")

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        # A temporary folder belongs to the one that has made it, and ends with it.
        if state.pop("_temporary", None) is not None:
            state["folder_"] = None
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
        # 1. The texts, in a file of the folder. What was fitted before stays until the training has ended.
        given = self._given_settings()
        check_params(self.get_params())
        found = read_texts(texts, self._text_column)
        known = None if labels is None else self._read_labels(labels, texts, len(found))
        num_labelled = 0 if known is None else sum(label is not None for label in known)
        temporary = None
        if self.output_dir is None:
            temporary = tempfile.TemporaryDirectory(prefix="ldebm_", ignore_cleanup_errors=True)
        folder = Path(self.output_dir if temporary is None else temporary.name)
        resume = "latest" if was_begun(folder) and not self._setting("training.overwrite_output_dir") else None
        content = lines_of(found, known if num_labelled else None)
        own = {
            "data": {"source": str(folder / TEXTS_FILE), "text_column": TEXT},
            "training": {
                "output_dir": str(folder),
                "seed": self.seed,
                "resume": resume,
                "disable_tqdm": not self.verbose,
            },
        }
        if num_labelled:
            own["data"] |= {"label_column": LABEL, "missing_labels": []}
        try:
            with self._said():
                # 2. Settings that suit them.
                with texts_written(folder / TEXTS_FILE, content, must_be_same=resume is not None):
                    plan = plan_fit(own, given, self.encoder, len(found), num_labelled)
                print(plan.description)

                # 3. The training, and names for symbols that have none.
                by_name = names_of_labels(known or [], self._missing_labels)
                report = self._wanted_report(folder)
                fitted = train_in_folder(folder, plan, content, by_name, self.get_params(), report)
                pipeline = self._load_pipeline(folder)
        except BaseException:
            if temporary is not None:
                temporary.cleanup()
            raise
        earlier, self._temporary = getattr(self, "_temporary", None), temporary
        self._set_fitted(pipeline, folder, fitted.labels)
        if earlier is not None:
            earlier.cleanup()
        return self

    def fit_predict(self, texts: Any, labels: Any = None) -> np.ndarray:
        """[`fit`], then [`predict`] of the same texts."""
        return self.fit(texts, labels).predict(texts)

    def fit_transform(self, texts: Any, labels: Any = None) -> np.ndarray:
        """[`fit`], then [`transform`] of the same texts."""
        return self.fit(texts, labels).transform(texts)

    def _given_settings(self) -> dict[str, dict[str, Any]]:
        """The settings of the user by section, without the name of the column, which is for what is given to `fit`."""
        given = by_section(self.settings)
        for section, values in given.items():
            for name in values:
                if f"{section}.{name}" in OWN_SETTINGS:
                    raise ValueError(f"{section}.{name} follows from what LDEBM and fit are given, and is no setting "
                                     "to pass")  # fmt: skip
        given.get("data", {}).pop("text_column", None)
        if self.num_symbols is not None:
            given.setdefault("model", {})["num_symbols"] = self.num_symbols
        return given

    def _setting(self, full_name: str) -> Any:
        """The value of a setting, whichever of its names the user gives it by; else its default."""
        section, _, name = full_name.partition(".")
        known = known_settings()[full_name]
        value = by_section(self.settings).get(section, {}).get(name, known.default)
        return convert(value, known.type, full_name)

    @property
    def _text_column(self) -> Any:
        section = by_section(self.settings).get("data", {})
        return section.get("text_column", TEXT)

    @property
    def _missing_labels(self) -> Any:
        """The marks for no label besides an empty text; the training takes them in the same way."""
        return by_section(self.settings).get("data", {}).get("missing_labels", ())

    def _read_labels(self, labels: Any, texts: Any, number: int) -> list[Any]:
        return read_labels(labels, texts, number, self._missing_labels)

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
        return np.concatenate(found)[:, self.symbols_]

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
        known = self._read_labels(labels, texts, len(found))
        labelled = [number for number, label in enumerate(known) if label is not None]
        if not labelled:
            raise ValueError(f"labels must be known for at least one text, got none for {len(found):,} texts")
        likeliest = self.predict_proba([found[number] for number in labelled]).argmax(1)
        symbols = self.symbols_[likeliest].tolist()
        expected = [name_of_label(known[number]) for number in labelled]
        if not self._labels:
            return float(v_measure_score(expected, symbols))
        of_outputs = pipe.model.config.symbols_of_outputs
        symbol_of = {name_of_label(label): of_outputs[output] for output, label in self._labels.items()}
        classes = zip(self.classes_.tolist(), self.symbols_.tolist(), strict=True)
        symbol_of |= {name_of_label(label): symbol for label, symbol in classes}
        return float(np.mean([one == symbol_of.get(name) for one, name in zip(symbols, expected, strict=True)]))

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
        found = texts_of_fit(self.folder_) if texts is None else read_texts(texts, self._text_column)
        return pipe.explain(found, **{"generator": self.seed, "show_progress": self.verbose, **options})

    def describe(self, texts: Any = None) -> str:
        """A table of the symbols, the most frequent first, as `ldebm explain` prints it; `texts` as in [`explain`]."""
        explanation = self.explain(texts, num_samples=1)
        return f"{symbol_table(explanation)}\n\n{usage_summary(explanation)}"

    def report(self, file: str | Path | None = None, **options: Any) -> Path:
        """
        Write the report of the symbols on the texts of the fit, `.html` and `.json`. Of more than 20,000 texts that
        number is drawn, which the report says.

        Args:
            file (`str` or `Path`, *optional*): Where to; default: `report.html` in the folder.
            options: As of [`ExplanationSettings`], such as `max_texts=100_000`.

        Returns:
            `Path` of the HTML file.
        """
        self._pipeline()
        texts_of_fit(self.folder_)
        wanted = self._wanted_report(self.folder_, output=None if file is None else str(file), **options)
        return explain_checkpoint(str(self.folder_), wanted, TITLE).files[0]

    # -------------------------------------------------------------------------------------------------------- writing

    def write(self, symbols: Any = None, num_texts: int = 1, **options: Any) -> list[str]:
        """Write texts for symbols, by id or name, or from the whole prior. Options as of [`LDEBMPipeline.write`]."""
        return self._pipeline().write(symbols, num_texts, **options)

    def rename(self, names: dict[int | str, str] | Sequence[str]) -> Self:
        """
        Give symbols other names, also in the folder. [`predict`] answers with them; [`score`] knows both them and the
        labels of the fit.

        Args:
            names (`dict` or `Sequence[str]`): By id or present name, or a name for every symbol.
        """
        with self._symbols_changed() as model:
            model.name_symbols(names)
        return self

    def merge(self, groups: Sequence[Sequence[int | str]]) -> Self:
        """
        Make one symbol of several, also in the folder, as [`~LDEBMModel.merge_symbols`] does. [`score`] counts the
        labels of all of them as right.

        Args:
            groups (`Sequence[Sequence[int | str]]`): The symbols to merge, by id or name, two or more in each group.
        """
        with self._symbols_changed() as model:
            model.merge_symbols(groups)
        return self

    @contextmanager
    def _symbols_changed(self) -> Iterator[LDEBMModel]:
        """The model, whose symbols are changed inside; then they change in the folder, too, or nowhere."""
        model = self._pipeline().model
        with symbols_restored_on_error(model):
            yield model
            if self.folder_ is not None:
                save_symbols(self.folder_, model)
        self._set_classes()

    # ------------------------------------------------------------------------------------------------ saving, loading

    def save(self, folder: str | Path) -> Path:
        """
        Save the model, its code, its tokenizer, the record of its training and its model card; not the texts.

        Args:
            folder (`str` or `Path`): A folder, which [`load`], `from_pretrained` and all commands take.
        """
        pipe, folder = self._pipeline(), Path(folder)
        if self.folder_ is None or self.folder_.resolve() != folder.resolve():
            save_fit(pipe, self.folder_, folder, EstimatorFile(self.get_params(), self._labels))
        return folder

    @classmethod
    def load(cls, checkpoint: str | Path, trust_remote_code: bool = False) -> Self:
        """
        A fitted estimator from the folder of a fit, of [`save`] or of a training, or from the Hub.

        Args:
            checkpoint (`str` or `Path`): The folder or Hub id.
            trust_remote_code (`bool`, *optional*, defaults to `False`): Whether code of a pretrained encoder or
                decoder may be run. What the checkpoint itself says of that does not count.

        Raises:
            OSError: There is no such checkpoint.
            ValueError: It holds a model of points, or its `estimator.json` is not as it should be.
        """
        find_checkpoint(str(checkpoint))
        file = find_beside_model(str(checkpoint), ESTIMATOR)
        fitted = None if file is None else EstimatorFile.read(file)
        estimator = cls()
        if fitted is not None:
            try:
                estimator.set_params(**fitted.params)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{file} is not as LDEBM writes it: {error}") from error
        if trust_remote_code:
            estimator.set_params(trust_remote_code=trust_remote_code)
        pipeline = estimator._load_pipeline(checkpoint)
        labels = labels_of_training(str(checkpoint), pipeline) if fitted is None else fitted.labels
        estimator._set_fitted(pipeline, Path(checkpoint) if Path(checkpoint).is_dir() else None, labels)
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
            EstimatorFile(labels=self._labels).write(Path(folder, ESTIMATOR))
            return push(folder, repo_id, **options)

    # --------------------------------------------------------------------------------------------------------- shared

    def _pipeline(self) -> LDEBMPipeline:
        if not hasattr(self, "pipeline_"):
            raise NotFittedError("this LDEBM is not fitted yet: call fit, or LDEBM.load for a model that is")
        return self.pipeline_

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

    def _wanted_report(self, folder: Path, **options: Any) -> ExplanationSettings:
        """A report on all texts of the fit, also on those that were held out."""
        common = {"split": "all", "seed": self.seed, "trust_remote_code": self._setting(TRUST)}
        return ExplanationSettings(data=str(folder / TEXTS_FILE), **common | options)

    def _load_pipeline(self, checkpoint: str | Path) -> LDEBMPipeline:
        return LDEBMPipeline.from_pretrained(checkpoint, trust_remote_code=self._setting(TRUST))

    def _set_fitted(self, pipeline: LDEBMPipeline, folder: Path | None, labels: dict[int, Any]) -> None:
        """Take over a model, its folder and the labels of its symbols."""
        self.pipeline_, self.folder_, self._labels = pipeline, folder, labels
        self._set_classes()

    def _set_classes(self) -> None:
        """
        Set `classes_`: labels in the form in which they were given, and names of other or renamed symbols; and
        `symbols_`. scikit-learn takes the columns of a classifier's probabilities to be in the order of sorted labels.
        """
        config = self.pipeline_.model.config
        if not self.pipeline_.model.has_symbols:
            return
        values = [config.id2label[symbol] for symbol in range(config.num_labels)]
        for output, label in self._labels.items():
            symbol = config.symbols_of_outputs[output]
            if name_of_label(label) == config.id2label[symbol]:
                values[symbol] = label
        is_mixed = len({type(value) for value in values}) > 1
        classes = np.array(values, dtype=object if is_mixed else None)
        is_classifier = bool(self._labels) and not is_mixed
        self.symbols_ = np.argsort(classes) if is_classifier else np.arange(len(classes))
        self.classes_ = classes[self.symbols_]
