"""Settings of a training run: four sections, strictly typed."""

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

from ..data import RELEASES, TOKENISED_SOURCES, Corpus, load_corpus, load_points
from ..files.atomic import write_text
from ..model.configuration_ldebm import PRESETS, LDEBMConfig
from ..model.dialogue_turns import MARKERS
from ..pseudo_labels.geometric_clustering import ClusteringSettings, refuse_settings_of_k_means
from ..text.document_tokenization import build_document_tokenizer
from ..text.subword_tokenization import build_subword_tokenizer
from ..text.tokenization import build_tokenizer
from .fitted_settings import FROM_DATA, settings_of_contexts, tokens_of, units_of
from .typed_values import check_limits, convert

SIZES = {False: {"vocab_size": 10000, "max_length": 40}, True: {"vocab_size": 30004, "max_length": 512}}
"""Of texts and of documents, where they are not given."""
SUBWORD_MAX_LENGTH = 64
"""Of texts as subwords, which are more tokens than words."""
KNOWN_SOURCES = {"synthetic", *RELEASES}
"""Sources whose texts are split into words, as in the published experiments."""
Schedule = Literal[
    "constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt"
]


def setting(default: Any, help: str, **limits: float) -> Any:
    """A dataclass field with its default, a line of help, and the limits `at_least` or `above` of a number."""
    return field(default=default, metadata={"help": help, **limits})


@dataclass
class DataSettings:
    """Where the texts or points come from, and how texts become tokens."""

    source: str = setting("synthetic", "a built-in or known corpus (README), the path of a file, or a Hub id")
    data_dir: str | None = setting(None, "folder with the release files of a source (ptb, yelp, agnews, ...)")
    text_column: str = setting("text", "column that holds the text")
    label_column: str | None = setting(None, "column (daily_dialog, smd: attribute) of labels, empty where unknown")
    attribute_columns: list[str] | None = setting(None, "columns of classes that are used for scores only")
    point_columns: list[str] | None = setting(None, "columns that hold a point's coordinates, e.g. x,y")
    num_points: int = setting(100_000, "points that the built-in distributions give to train on", at_least=1)
    validation_file: str | None = setting(
        None, "file with the validation examples; else a share of the others is taken"
    )
    validation_fraction: float = setting(0.1, "that share", above=0)
    label_fraction: float = setting(1.0, "share of the training labels that is kept", at_least=0)
    label_count: int | None = setting(None, "keep only so many training labels, equally many a class", at_least=1)
    label_seed: int | None = setting(None, "decides which labels are kept; none: corpus_seed", at_least=0)
    titles: bool = setting(False, "agnews: texts are titles and descriptions, not descriptions alone")
    min_words: int = setting(0, "leave out texts of fewer words, as documents count them", at_least=0)
    max_train_examples: int | None = setting(None, "use only so many training examples", at_least=1)
    streaming: bool = setting(False, "leave the training texts on disk or the Hub and read them every epoch")
    validation_size: int = setting(2000, "texts of a stream that are held out for validation", at_least=1)
    reservoir_size: int = setting(100_000, "texts of a stream that are kept for clustering", at_least=1)
    shuffle_buffer_size: int = setting(10_000, "texts of a stream that are shuffled together", at_least=1)
    keep_repeated: bool = setting(True, "keep held-out dialogues that also stand in train")
    context_turns: int = setting(0, "dialogues: turns before each text that it is an answer to", at_least=0)
    speaker_markers: Literal["none", "context", "all"] | None = setting(
        None, "speakers' marks: none, in the context, all; default as published, smd: all"
    )
    vocab_size: int | None = setting(
        None, "most frequent words to keep; none: 10000, of documents 30004", at_least=1
    )
    stop_words: Literal["english", "none"] = setting("english", "words that documents do not count")
    tokenizer: Literal["words", "subwords"] | None = setting(
        None, "subwords by default for files and Hub ids, else words"
    )
    lowercase: bool | None = setting(
        None, "lower-case the texts; default: words of raw texts only"
    )
    split_punctuation: bool | None = setting(
        None, "words: make marks tokens of their own; default: in raw texts"
    )
    max_length: int | None = setting(
        None, "longest text in tokens, both marks included; none: 40, of documents 512", at_least=3
    )
    corpus_seed: int = setting(0, "decides the built-in corpus, and which texts are held out or left out", at_least=0)

    def load_corpus(self) -> Corpus:
        """The corpus these settings describe; errors as `ldebm_hf.data.load_corpus` has them."""
        return load_corpus(
            self.source,
            data_dir=self.data_dir,
            text_column=self.text_column,
            label_column=self.label_column,
            attribute_columns=self.attribute_columns,
            validation_file=self.validation_file,
            validation_fraction=self.validation_fraction,
            label_fraction=self.label_fraction,
            label_count=self.label_count,
            label_seed=self.label_seed,
            titles=self.titles,
            min_words=self.min_words,
            max_train_examples=self.max_train_examples,
            streaming=self.streaming,
            validation_size=self.validation_size,
            reservoir_size=self.reservoir_size,
            keep_repeated=self.keep_repeated,
            context_turns=self.context_turns,
            speaker_markers=self.speaker_markers,
            seed=self.corpus_seed,
        )

    def load_points(self) -> Corpus:
        """The same of points; errors as `ldebm_hf.data.load_points` has them."""
        return load_points(
            self.source,
            num_points=self.num_points,
            point_columns=self.point_columns,
            label_column=self.label_column,
            validation_file=self.validation_file,
            validation_fraction=self.validation_fraction,
            label_fraction=self.label_fraction,
            label_count=self.label_count,
            label_seed=self.label_seed,
            max_train_examples=self.max_train_examples,
            data_dir=self.data_dir,
            seed=self.corpus_seed,
        )

    def build_tokenizer(self, corpus: Corpus, of_documents: bool = False) -> PreTrainedTokenizerBase:
        """A tokenizer with the words, or pieces of words, of the corpus's training texts."""
        sizes = {name: getattr(self, name) or default for name, default in SIZES[of_documents].items()}
        if of_documents:
            return build_document_tokenizer(corpus.train.texts, stop_words=self.stop_words, **sizes)
        markers = MARKERS if self.context_turns else ()
        kind = self.tokenizer
        if kind is None:
            of_user = self.source not in KNOWN_SOURCES and self.split_punctuation is None
            kind = "subwords" if of_user else "words"
        if kind == "subwords":
            if self.split_punctuation is not None:
                raise ValueError("data.split_punctuation goes with data.tokenizer=words, not with subwords")
            max_length = self.max_length or SUBWORD_MAX_LENGTH
            return build_subword_tokenizer(
                corpus.train.texts,
                sizes["vocab_size"],
                lowercase=bool(self.lowercase),
                max_length=max_length,
                markers=markers,
            )
        is_raw_text = self.source not in TOKENISED_SOURCES
        return build_tokenizer(
            corpus.train.texts,
            **sizes,
            markers=markers,
            lowercase=is_raw_text if self.lowercase is None else self.lowercase,
            split_punctuation=is_raw_text if self.split_punctuation is None else self.split_punctuation,
        )


@dataclass
class TrainingSettings:
    """Optimisation, checkpoints and logging; named as in transformers' `TrainingArguments` where that has them."""

    output_dir: str = setting("outputs/ldebm", "folder for everything the run writes")
    overwrite_output_dir: bool = setting(False, "discard what an earlier run left in output_dir")
    resume: str | None = setting(None, '"latest" or a checkpoint\'s folder: go on from there')
    num_train_epochs: int = setting(10, "epochs", at_least=1)
    max_steps: int = setting(-1, "optimiser steps, instead of num_train_epochs; -1: by epochs", at_least=-1)
    per_device_train_batch_size: int = setting(128, "examples per forward pass of a process", at_least=1)
    per_device_eval_batch_size: int = setting(256, "the same for validation and clustering", at_least=1)
    labelled_batch_size: int = setting(
        0, "labelled examples for every step, if there are any; 0: as in the batches", at_least=0
    )
    gradient_accumulation_steps: int = setting(1, "forward passes per optimiser step", at_least=1)
    group_by_length: bool = setting(False, "texts of like length in a batch: shorter recurrences, but biased batches")
    dataloader_num_workers: int | None = setting(
        None, "processes that build batches ahead; none: 2 with a GPU, else 0", at_least=0
    )
    learning_rate: float = setting(1e-3, "Adam's rate for encoder and decoder", at_least=0)
    prior_learning_rate: float = setting(1e-4, "Adam's rate for the prior", at_least=0)
    weight_decay: float = setting(0.0, "L2 penalty on encoder and decoder, as torch's Adam has it", at_least=0)
    prior_weight_decay: float = setting(0.0, "the same for the prior", at_least=0)
    max_grad_norm: float | None = setting(0.5, "gradient clip of encoder and decoder; none: no clip", above=0)
    prior_max_grad_norm: float | None = setting(10.0, "gradient clip of the prior; none: no clip", above=0)
    lr_scheduler_type: Schedule = setting(
        "constant", "schedule of both rates: any of transformers' that needs no more settings"
    )
    warmup_steps: int = setting(0, "steps of linear warm-up", at_least=0)
    kl_schedule: Literal["constant", "cyclical"] = setting(
        "constant", "cyclical: kl_weight grows from 0 in every cycle; one is the usual warm-up"
    )
    kl_cycles: int = setting(1, "cycles in a run", at_least=1)
    kl_zero_fraction: float = setting(0.0, "share of a cycle at weight 0", at_least=0)
    kl_ramp_fraction: float = setting(0.5, "share of a cycle of linear growth, after which it is constant", at_least=0)
    mixed_precision: Literal["no", "fp16", "bf16"] | None = setting(
        None, "no, fp16 or bf16; none: what `accelerate launch` says"
    )
    compile_sampler: bool = setting(False, "run the sampler through torch.compile; where that fails, without it")
    sampler_dtype: Literal["float32", "bfloat16"] = setting("float32", "precision of the energy inside the sampler")
    initial_words: Literal["random", "cooccurrence"] = setting(
        "random", "documents' first word vectors; cooccurrence: of words that share texts"
    )
    seed: int = setting(0, "seed of initialisation, order and noise", at_least=0)
    logging_steps: int = setting(10, "steps between log lines", at_least=1)
    save_steps: int = setting(500, "steps between checkpoints; there is one after every epoch too", at_least=1)
    save_total_limit: int = setting(2, "checkpoints to keep", at_least=1)
    metric_for_best_model: str | None = setting(
        "reconstruction_loss",
        "what selects the model; none: cross-entropy of labels, or reconstruction",
    )
    greater_is_better: bool | None = setting(None, "none: known from the value's name")
    early_stopping_patience: int | None = setting(
        None, "stop after so many validations without a new best", at_least=1
    )
    push_to_hub: bool = setting(False, "push the best model, its record and its card to the Hub when training ends")
    hub_model_id: str | None = setting(None, "repository to push to; none: your own, called like output_dir")
    hub_private_repo: bool = setting(True, "whether only you see that repository")
    hub_revision: str | None = setting(None, "tag for what is pushed")
    report_to: str = setting("none", "Accelerate trackers beside metrics.jsonl, e.g. tensorboard,wandb")
    ddp_timeout: float = setting(1800, "seconds after which a silent process counts as lost", above=0)
    max_energy: float = setting(1e6, "stop when a mean energy is larger than this", above=0)


@dataclass
class Settings:
    """Every setting of a run. Names, types and limits are checked when it is made.

    Args:
        data (`DataSettings`), clustering (`ClusteringSettings`), training (`TrainingSettings`): see there.
        model (`dict`): `preset`, `num_symbols`, and any other field of `LDEBMConfig` that the preset shall not decide.

    Raises:
        ValueError: an unknown name (with the closest known ones), a value of the wrong type or out of its limits.
    """

    data: DataSettings = field(default_factory=DataSettings)
    model: dict[str, Any] = field(default_factory=dict)
    clustering: ClusteringSettings = field(default_factory=ClusteringSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)

    def __post_init__(self):
        self.model = {"preset": "consistent", **self.model}
        known = known_settings()
        for section in SECTIONS:
            values = getattr(self, section)
            values = values if isinstance(values, dict) else vars(values)
            for name, value in values.items():
                full_name = f"{section}.{name}"
                check_name(full_name)
                values[name] = convert(value, known[full_name].type, full_name)
                check_limits(values[name], known[full_name].limits, full_name)
        if self.clustering.enabled is None:
            model = PRESETS[self.model["preset"]] | self.model
            default = LDEBMConfig()
            prior, num_levels = (model.get(name, getattr(default, name)) for name in ("prior", "num_levels"))
            if self.clustering.features == "word_classes":
                self.clustering.enabled = prior in ("diffusion", "mixture", "discrete", "semi")
            else:
                self.clustering.enabled = prior == "diffusion" and num_levels > 1
        for name, value in SIZES[self.modality == "document"].items():
            if getattr(self.data, name) is None:
                setattr(self.data, name, value)
        if self.data.stop_words != known["data.stop_words"].default and self.modality != "document":
            raise ValueError(f"data.stop_words={self.data.stop_words} needs model.modality=document")
        if self.training.initial_words != "random" and self.modality != "document":
            raise ValueError(f"training.initial_words={self.training.initial_words} needs model.modality=document")
        if self.data.context_turns and not self.model.get("context_size"):
            raise ValueError(f"data.context_turns={self.data.context_turns} needs model.context_size of at least 1")
        if self.model.get("context_size") and not self.data.context_turns:
            raise ValueError(f"model.context_size={self.model['context_size']} needs data.context_turns of at least 1")
        if self.training.labelled_batch_size and self.data.streaming:
            raise ValueError("training.labelled_batch_size draws from all examples and cannot be used with streaming")
        if self.data.point_columns is not None and self.modality != "point":
            raise ValueError(f"data.point_columns={self.data.point_columns} needs model.modality=point")
        if self.training.warmup_steps and self.training.lr_scheduler_type == "constant":
            raise ValueError(
                "training.warmup_steps needs another lr_scheduler_type than constant: constant_with_warmup"
            )
        if self.training.kl_schedule == "constant":
            for name in ("kl_cycles", "kl_zero_fraction", "kl_ramp_fraction"):
                if getattr(self.training, name) != known[f"training.{name}"].default:
                    raise ValueError(f"training.{name} needs another kl_schedule than constant: cyclical")
        if self.training.kl_zero_fraction + self.training.kl_ramp_fraction > 1:
            raise ValueError(
                f"training.kl_zero_fraction={self.training.kl_zero_fraction} and "
                f"kl_ramp_fraction={self.training.kl_ramp_fraction} must not be more than 1 together"
            )
        if self.clustering.features == "word_classes":
            refuse_settings_of_k_means(self.clustering)
        if self.modality == "point":
            if self.clustering.features in ("words", "word_classes"):
                raise ValueError(
                    f"clustering.features={self.clustering.features} is for texts and cannot be used with "
                    "model.modality=point"
                )
            for_texts = (("data", "streaming"), ("data", "attribute_columns"), ("data", "titles"),
                         ("data", "min_words"), ("training", "group_by_length"))  # fmt: skip
            for section, name in for_texts:
                if getattr(getattr(self, section), name):
                    raise ValueError(f"{section}.{name} is for texts and cannot be used with model.modality=point")

    @property
    def modality(self) -> str:
        """What the model is of: `"text"`, `"document"` or `"point"`."""
        return self.model.get("modality", known_settings()["model.modality"].default)

    @classmethod
    def from_dict(cls, values: dict[str, dict[str, Any]]) -> "Settings":
        """Settings from `{section: {name: value}}`; what is left out has its default. Text stands for any type."""
        for section, entries in values.items():
            if section not in SECTIONS:
                raise ValueError(f"unknown section {section!r}, the sections are {', '.join(SECTIONS)}")
            for name in entries:
                check_name(f"{section}.{name}")
        return cls(**{section: SECTIONS[section](**entries) for section, entries in values.items()})

    def to_dict(self) -> dict[str, dict[str, Any]]:
        return dataclasses.asdict(self)

    def save(self, path: str | os.PathLike) -> None:
        """Write a recipe that starts this run anew, from the beginning."""
        values = self.to_dict()
        values["training"] |= {"resume": None, "overwrite_output_dir": False}
        values["training"] |= {"push_to_hub": False, "hub_model_id": None, "hub_revision": None}  # whoever starts it
        write_text(Path(path), yaml.safe_dump(values, sort_keys=False, allow_unicode=True))

    def differences_to_preset(self) -> list[tuple[str, Any, Any]]:
        """Name, value and the preset's value of every model setting given that the preset has otherwise."""
        preset = PRESETS[self.model["preset"]]
        given = [(name, value) for name, value in self.model.items() if name in preset]
        return [(name, value, preset[name]) for name, value in given if value != preset[name]]

    def load_corpus(self) -> Corpus:
        """The texts or, if the model is one of points, the points that `data` describes."""
        return self.data.load_points() if self.modality == "point" else self.data.load_corpus()

    def model_config(
        self,
        tokenizer: PreTrainedTokenizerBase | None = None,
        label_names: Sequence[str] = (),
        points: np.ndarray | None = None,
    ) -> LDEBMConfig:
        """The model's configuration for a corpus.

        The published decoder of points has unit variance, for data whose coordinates have a standard deviation of
        8.5. So that the same decoder suits data in any units, `model.point_center` and `model.point_scale`, where they
        are not given, make of the training points such with mean 0 and that deviation (the root mean square of the
        coordinates' own): the scale is their standard deviation divided by 8.5.

        Args:
            tokenizer (`PreTrainedTokenizerBase`, *optional*): needed for texts.
            label_names (`Sequence[str]`, *optional*): names of the corpus's classes, which the first symbols get.
                Without `model.num_symbols` there are as many symbols as classes.
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
        values = (units_of(points) if self.modality == "point" else tokens_of(tokenizer)) | values
        try:
            return LDEBMConfig.from_preset(self.model["preset"], **values)
        except StrictDataclassError as error:
            raise ValueError(f"model settings: {error.__cause__ or error}") from error


SECTIONS = {"data": DataSettings, "model": dict, "clustering": ClusteringSettings, "training": TrainingSettings}


@dataclass(frozen=True)
class KnownSetting:
    """What there is to know about one setting."""

    type: Any
    default: Any
    help: str = ""
    limits: dict[str, float] = field(default_factory=dict)


@functools.cache
def known_settings() -> dict[str, KnownSetting]:
    """Every setting by its full name, e.g. `training.learning_rate`."""
    known = {}
    for section in ("data", "clustering", "training"):
        types = typing.get_type_hints(SECTIONS[section])
        for item in dataclasses.fields(SECTIONS[section]):
            limits = {name: item.metadata[name] for name in ("at_least", "above") if name in item.metadata}
            known[f"{section}.{item.name}"] = KnownSetting(
                types[item.name], item.default, item.metadata["help"], limits
            )
    known["model.preset"] = KnownSetting(
        Literal[tuple(PRESETS)], "consistent", "decides every model setting not given; see ldebm_hf/model/presets.py"
    )
    known["model.num_symbols"] = KnownSetting(
        int, None, "number of symbols; none: one per class of the corpus, else 20", {"at_least": 1}
    )
    known["model.id2label"] = KnownSetting(dict[int, str], None, "names of the symbols; none: names of the classes")
    config = LDEBMConfig()
    for name, declared in LDEBMConfig.__annotations__.items():
        if name in FROM_DATA or name == "is_encoder_decoder" or typing.get_origin(declared) is ClassVar:
            continue
        known[f"model.{name}"] = KnownSetting(declared, getattr(config, name))
    return known


def check_name(full_name: str) -> None:
    """Raise ValueError, with the closest known names, unless there is such a setting."""
    known = known_settings()
    if full_name in known:
        return
    section, _, name = full_name.partition(".")
    elsewhere = [known_name for known_name in known if known_name.endswith(f".{name}")]
    close = elsewhere or difflib.get_close_matches(full_name, known, n=3, cutoff=0.6)
    own = [known_name for known_name in known if known_name.startswith(f"{section}.")]
    allowed = f"did you mean {' or '.join(close)}?" if close else f"allowed are {', '.join(own or SECTIONS)}"
    raise ValueError(f"unknown setting {full_name!r}: {allowed}")
