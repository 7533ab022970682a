"""Settings of a training run: four sections, with types and limits that are checked."""

import dataclasses
import difflib
import functools
import os
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import yaml
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedTokenizerBase

from ..data import Corpus
from ..files.atomic import write_text
from ..model.configuration_ldebm import PRESETS, LDEBMConfig
from ..model.modalities import MODALITIES
from ..model.modality import Modality
from ..model.priors import PRIORS
from ..pseudo_labels.geometric_clustering import CLASS_FEATURES, ClusteringSettings
from .config_help import argument_groups, summary
from .data_settings import DataSettings
from .fitted_settings import FROM_DATA, settings_of_contexts, tokens_of, units_of
from .training_settings import TrainingSettings
from .typed_values import check_limits, convert, show

SETTINGS_FOR_SOME_MODALITIES = {
    "data.streaming": ("reads_texts", True),
    "data.attribute_columns": ("reads_texts", True),
    "data.titles": ("reads_texts", True),
    "data.min_words": ("reads_texts", True),
    "data.stop_words": ("is_bag_of_words", True),
    "data.point_columns": ("reads_texts", False),
    "training.initial_words": ("is_bag_of_words", True),
}
"""Settings that only some modalities can use, with the attribute of [`Modality`] that decides and its value."""
WORD_FEATURES = ("words", "word_classes")
"""The values of `clustering.features` that need words."""
ENCODER_FEATURES = ("encoder", "encoder_classes")
"""The values of `clustering.features` that need a pretrained encoder that is frozen."""


@dataclass
class Settings:
    """Every setting of a run. Names, types, limits and combinations are checked when it is made.

    Values may be given as text, as a recipe or a command line has them. Settings left at `None` whose default depends
    on the model (`data.vocab_size`, `data.max_length`, `clustering.enabled`) get their value here.

    Args:
        data (`DataSettings`), clustering (`ClusteringSettings`), training (`TrainingSettings`): see there.
        model (`dict`): `preset`, `num_symbols`, and any other field of [`LDEBMConfig`] that shall differ from the
            preset.

    Raises:
        ValueError: an unknown name (the message has the closest known ones), a value of the wrong type or out of its
            limits, or settings that do not go together.
    """

    data: DataSettings = field(default_factory=DataSettings)
    model: dict[str, Any] = field(default_factory=dict)
    clustering: ClusteringSettings = field(default_factory=ClusteringSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)

    def __post_init__(self):
        self.model = {"preset": "consistent", **self.model}
        for section in SECTIONS:
            self._convert_values(section)
        self._fill_in_defaults()
        self.clustering.validate()
        self.training.validate()
        self._check_modality()
        self._check_data_against_model()

    def _convert_values(self, section: str) -> None:
        """Give the values of a section their declared types, and check names and limits."""
        values = getattr(self, section)
        if not isinstance(values, dict):
            values = vars(values)
        for name, value in values.items():
            full_name = f"{section}.{name}"
            check_name(full_name)
            known = known_settings()[full_name]
            values[name] = convert(value, known.type, full_name)
            check_limits(values[name], known.limits, full_name)

    def _fill_in_defaults(self) -> None:
        """Replace `None` where the default depends on the model."""
        if self.data.vocab_size is None:
            self.data.vocab_size = self.modality_class.default_vocab_size
        if self.data.natural_writing is None:
            self.data.natural_writing = "pretrained" in (self.model_value("encoder"), self.model_value("decoder"))
        # A pretrained encoder reads the text that the tokens stand for, of which whole words would keep too little.
        of_words = self.data.tokenizer is not None or self.data.split_punctuation is not None
        if self.model_value("encoder") == "pretrained" and self.model_value("decoder") == "recurrent" and not of_words:
            self.data.tokenizer = "subwords"
        if self.data.max_length is None:
            self.data.max_length = self.data.default_max_length(self.modality_class)
        if self.clustering.enabled is None:
            prior = PRIORS[self.model_value("prior")]
            if self.clustering.features in CLASS_FEATURES:  # which suit every prior with symbols
                self.clustering.enabled = prior.can_have_symbols
            else:
                self.clustering.enabled = prior.clusters_by_default(self.model_value("num_levels"))

    def _check_modality(self) -> None:
        """Refuse settings that are for models of another modality."""
        for full_name, (fact, needed) in SETTINGS_FOR_SOME_MODALITIES.items():
            section, _, name = full_name.partition(".")
            value = getattr(getattr(self, section), name)
            if value != known_settings()[full_name].default and getattr(self.modality_class, fact) != needed:
                self._refuse_modality(full_name, value, fact, needed)
        features = self.clustering.features
        if features in WORD_FEATURES and not self.modality_class.reads_texts:
            self._refuse_modality("clustering.features", features, "reads_texts", True)

    def _refuse_modality(self, full_name: str, value: Any, fact: str, needed: bool) -> None:
        allowed = " or ".join(name for name, modality in MODALITIES.items() if getattr(modality, fact) == needed)
        raise ValueError(f"{full_name}={show(value)} needs model.modality={allowed}, got {self.modality}")

    def _check_data_against_model(self) -> None:
        """Refuse data that do not go with the model or with the training."""
        if self.data.tokenizer == "subwords" and self.data.split_punctuation is not None:
            raise ValueError(
                f"data.split_punctuation={show(self.data.split_punctuation)} needs data.tokenizer=words, got subwords"
            )
        if self.data.tokenizer is not None and self.model_value("decoder") == "pretrained":
            raise ValueError(
                f"data.tokenizer={self.data.tokenizer} needs model.decoder=recurrent, because a pretrained decoder "
                "has the tokenizer of its language model"
            )
        is_frozen = self.model_value("encoder_trainable_layers") == self.model_value("encoder_lora_rank") == 0
        if self.training.gradient_checkpointing and self.model_value("decoder") != "pretrained":
            if self.model_value("encoder") != "pretrained" or is_frozen:
                raise ValueError(
                    "training.gradient_checkpointing=true has no effect without model.decoder=pretrained, or "
                    "model.encoder=pretrained with encoder_trainable_layers or encoder_lora_rank above 0"
                )
        if self.training.vocabulary_precision == "bfloat16" and not self.projects_to_vocabulary:
            raise ValueError(
                "training.vocabulary_precision=bfloat16 needs model.modality=text and model.decoder=recurrent, got "
                f"{self.modality} and {self.model_value('decoder')}"
            )
        if self.clustering.features in ENCODER_FEATURES:
            if self.model_value("encoder") != "pretrained" or not is_frozen:
                raise ValueError(
                    f"clustering.features={self.clustering.features} needs model.encoder=pretrained, and of it "
                    "encoder_trainable_layers=0 and encoder_lora_rank=0"
                )
        context_turns, context_size = self.data.context_turns, self.model.get("context_size", 0)
        if context_turns and not context_size:
            raise ValueError(f"data.context_turns={context_turns} needs model.context_size of at least 1")
        if context_size and not context_turns:
            raise ValueError(f"model.context_size={context_size} needs data.context_turns of at least 1")
        if self.training.labelled_batch_size and self.data.streaming:
            raise ValueError(
                f"training.labelled_batch_size={self.training.labelled_batch_size} draws from all examples and cannot "
                "be used with data.streaming=true"
            )

    @property
    def modality(self) -> str:
        """What the model is of: `"text"`, `"document"` or `"point"`."""
        return self.model_value("modality")

    @property
    def modality_class(self) -> type[Modality]:
        """What the registry of modalities says of `modality`."""
        return MODALITIES[self.modality]

    @property
    def projects_to_vocabulary(self) -> bool:
        """Whether the model computes the logits of its words itself, so that `vocabulary_precision` concerns it."""
        return self.modality_class.is_autoregressive and self.model_value("decoder") == "recurrent"

    def model_value(self, name: str) -> Any:
        """The value that a field of [`LDEBMConfig`] gets: the one given, else the preset's, else the default."""
        default = known_settings()[f"model.{name}"].default
        return self.model.get(name, PRESETS[self.model["preset"]].get(name, default))

    @classmethod
    def from_dict(cls, values: dict[str, dict[str, Any]]) -> "Settings":
        """Settings from `{section: {name: value}}`; what is left out has its default.

        Settings that earlier versions had are accepted, and ignored, with the value that every run has today, so that
        the `settings.yaml` of an earlier run can be read.
        """
        sections = {}
        for section, entries in values.items():
            if section not in SECTIONS:
                raise ValueError(f"unknown section {section!r}, the sections are {', '.join(SECTIONS)}")
            kept = {}
            for name, value in entries.items():
                full_name = f"{section}.{name}"
                if full_name in REMOVED_SETTINGS:
                    check_removed(full_name, value)
                else:
                    check_name(full_name)
                    kept[name] = value
            sections[section] = SECTIONS[section](**kept)
        return cls(**sections)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """All settings as `{section: {name: value}}`."""
        return dataclasses.asdict(self)

    def save(self, path: str | os.PathLike) -> None:
        """Write a recipe that repeats this run from the beginning, without pushing anything to the Hub."""
        values = self.to_dict()
        values["training"] |= {"resume": None, "overwrite_output_dir": False}
        values["training"] |= {
            "push_to_hub": False,
            "hub_model_id": None,
            "trust_remote_code": False,
            "disable_tqdm": False,
        }
        write_text(Path(path), yaml.safe_dump(values, sort_keys=False, allow_unicode=True))

    def differences_to_preset(self) -> list[tuple[str, Any, Any]]:
        """Name, value and the preset's value of every model setting that was given another value than the preset's."""
        preset = PRESETS[self.model["preset"]]
        given = [(name, value) for name, value in self.model.items() if name in preset]
        return [(name, value, preset[name]) for name, value in given if value != preset[name]]

    def load_corpus(self, texts: Corpus | None = None) -> Corpus:
        """
        The corpus that `data` describes: points for a model of points, otherwise texts.

        Args:
            texts (`Corpus`, *optional*): What `data.load_corpus` returned, if it was read already.
        """
        if not self.modality_class.reads_texts:
            return self.data.load_points()
        corpus = self.data.load_corpus() if texts is None else texts
        return corpus.written_naturally() if self.data.natural_writing else corpus

    def model_config(
        self,
        tokenizer: PreTrainedTokenizerBase | None = None,
        label_names: Sequence[str] = (),
        points: np.ndarray | None = None,
    ) -> LDEBMConfig:
        """The model's configuration for a corpus.

        The published decoder of points has unit variance and was made for data whose coordinates have a standard
        deviation of 8.5. So that it suits data in any unit, `model.point_center` defaults to the mean of the training
        points and `model.point_scale` to their standard deviation (the root mean square of the coordinates') divided
        by 8.5.

        Args:
            tokenizer (`PreTrainedTokenizerBase`, *optional*): needed for texts.
            label_names (`Sequence[str]`, *optional*): names of the corpus's classes, which become the names of the
                first symbols. Without `model.num_symbols` there are as many symbols as classes.
            points (`np.ndarray` of shape `(n, point_size)`, *optional*): the training points; needed for points.

        Raises:
            ValueError: values out of their range, settings that do not go together, or points that are all the same.
        """
        values = {name: value for name, value in self.model.items() if name not in ("preset", "num_symbols")}
        num_symbols = self.model.get("num_symbols", len(label_names))
        if num_symbols and "id2label" not in values:
            spare = [f"LABEL_{symbol}" for symbol in range(len(label_names), num_symbols)]
            values["id2label"] = dict(enumerate([*label_names, *spare][:num_symbols]))
        values |= settings_of_contexts(self.data)
        values["trust_remote_code"] = self.training.trust_remote_code
        values = (tokens_of(tokenizer) if self.modality_class.reads_texts else units_of(points)) | values
        try:
            return LDEBMConfig.from_preset(self.model["preset"], **values)
        except StrictDataclassError as error:
            raise ValueError(f"model settings: {error.__cause__ or error}") from error


SECTIONS = {"data": DataSettings, "model": dict, "clustering": ClusteringSettings, "training": TrainingSettings}


@dataclass(frozen=True)
class KnownSetting:
    """The declaration of one setting.

    Args:
        type: Its declared type.
        default: Its default value.
        help (`str`): What it does, in a sentence.
        heading (`str`, *optional*): The title above it in `--help`; empty for a gap without a title.
        limits (`dict`): `at_least` or `above`, for numbers.
        details (`str`): A longer description for the reference; empty if `help` says all.
    """

    type: Any
    default: Any
    help: str = ""
    heading: str | None = None
    limits: dict[str, float] = field(default_factory=dict)
    details: str = ""


UNITS_OF_POINTS = {
    "point_size": "Number of coordinates of a point. Default: that of the training points.",
    "point_center": "Subtracted from every point inside the model. Default: the mean of the training points.",
    "point_scale": "Divides every point after that. Default: the standard deviation of the training points, "
    "divided by 8.5.",
}
"""Fields of the model whose default follows from the training points, and what `--help` says of them."""


REMOVED_SETTINGS = {
    "training.group_by_length": KnownSetting(bool, False),
    "training.greater_is_better": KnownSetting(bool | None, None),
    "training.hub_revision": KnownSetting(str | None, None),
    "training.max_energy": KnownSetting(float, 1e6),
}
"""Settings of earlier versions that stand in the `settings.yaml` of their runs, with the value that runs have now."""


@functools.cache
def known_settings() -> dict[str, KnownSetting]:
    """Every setting by its full name, for instance `training.learning_rate`."""
    known = {}
    for section, kind in SECTIONS.items():
        if section == "model":
            known |= _model_settings()
            continue
        types = typing.get_type_hints(kind)
        for item in dataclasses.fields(kind):
            limits = {name: item.metadata[name] for name in ("at_least", "above") if name in item.metadata}
            known[f"{section}.{item.name}"] = KnownSetting(
                types[item.name], item.default, item.metadata["help"], item.metadata.get("heading"), limits
            )
    return known


def _model_settings() -> dict[str, KnownSetting]:
    """The preset, the symbols, and the fields of [`LDEBMConfig`] that do not follow from the data."""
    known = {
        "model.preset": KnownSetting(
            Literal[tuple(PRESETS)],
            "consistent",
            "Named combination of settings, which decides every model setting that is not given.",
        ),
        "model.num_symbols": KnownSetting(
            int,
            None,
            "Number of symbols. Default: one per class of the corpus, or 20 if it has no classes.",
            limits={"at_least": 1},
        ),
        "model.id2label": KnownSetting(dict[int, str], None, "Names of the symbols. Default: names of the classes."),
    }
    # Not those of a configuration, because the first one imports the models, for which `--help` need not wait.
    defaults = {field.name: field.default for field in dataclasses.fields(LDEBMConfig)}
    defaults["normalize_posterior"] = PRIORS[defaults["prior"]].normalizes_posterior
    declared = {
        name: kind
        for name, kind in LDEBMConfig.__annotations__.items()
        if name not in FROM_DATA and name != "is_encoder_decoder" and typing.get_origin(kind) is not ClassVar
    }
    for group in argument_groups(LDEBMConfig):
        heading = ""
        for name, description in group.items():
            if name not in declared:
                continue
            kind = declared.pop(name)
            if name in UNITS_OF_POINTS:
                item = KnownSetting(kind, None, UNITS_OF_POINTS[name], heading)
            else:
                item = KnownSetting(kind, defaults[name], summary(description), heading, details=description)
            known[f"model.{name}"] = item
            heading = None
    for name, kind in declared.items():
        known[f"model.{name}"] = KnownSetting(kind, defaults[name])
    return known


def check_name(full_name: str) -> None:
    """Raise a ValueError, with the closest known names, unless there is a setting of this name."""
    known = known_settings()
    if full_name in known:
        return
    section, _, name = full_name.partition(".")
    same_name = [known_name for known_name in known if known_name.endswith(f".{name}")]
    close = same_name or difflib.get_close_matches(full_name, known, n=3, cutoff=0.6)
    if close:
        raise ValueError(f"unknown setting {full_name!r}: did you mean {' or '.join(close)}?")
    in_section = [known_name for known_name in known if known_name.startswith(f"{section}.")]
    raise ValueError(f"unknown setting {full_name!r}: allowed are {', '.join(in_section or SECTIONS)}")


def check_removed(full_name: str, value: Any) -> None:
    """Raise a ValueError unless a setting that no longer exists has the value that every run has now."""
    removed = REMOVED_SETTINGS[full_name]
    if convert(value, removed.type, full_name) != removed.default:
        raise ValueError(f"{full_name} is no longer a setting and can only be {show(removed.default)}, got {value!r}")
