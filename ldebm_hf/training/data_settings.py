"""The `data` section of the settings: where texts or points come from, and how texts become tokens."""

from dataclasses import dataclass
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from ..data import Corpus, known_source, load_corpus, load_points, option_names
from ..model.dialogue_turns import MARKERS
from ..model.document_modality import DocumentModality
from ..model.modality import Modality
from ..model.text_modality import TextModality
from ..text.document_tokenization import build_document_tokenizer
from ..text.language_model_tokenization import build_language_model_tokenizer
from ..text.subword_tokenization import build_subword_tokenizer
from ..text.tokenization import build_tokenizer
from .typed_values import setting

SUBWORD_MAX_LENGTH = 64
"""Default greatest length of a text in subwords, of which it has more than words."""


@dataclass
class DataSettings:
    """Where the texts or points come from, and how texts become tokens."""

    source: str = setting("synthetic", "a known corpus (see README), the path of a file, or a Hub id")
    data_dir: str | None = setting(None, "folder of a corpus's release files, or of relative paths")
    text_column: str = setting("text", "column of texts")
    label_column: str | None = setting(None, "column (of dialogues and rooms: attribute) of labels")
    attribute_columns: list[str] | None = setting(None, "columns of classes that are used for scores only")
    point_columns: list[str] | None = setting(None, "the two columns of a point's coordinates, e.g. x,y")
    num_points: int = setting(100_000, "training points drawn from a built-in distribution", at_least=1)
    validation_file: str | None = setting(None, "file with validation examples. Default: some are held out")
    validation_fraction: float = setting(0.1, "fraction of training examples held out for validation", above=0)
    missing_labels: list[str] | None = setting(
        None, "marks that mean no label, as [NA, None]; []: none does. Default: asks"
    )
    encoding: str | None = setting(None, "encoding of text files, e.g. cp1252. Default: recognised")
    sheet: str | None = setting(None, "sheet of Excel files. Default: the first")
    label_fraction: float = setting(1.0, "fraction of the training labels that is kept", at_least=0)
    label_count: int | None = setting(None, "number of training labels kept, equal for all classes", at_least=1)
    label_seed: int | None = setting(None, "decides which labels are kept. Default: as corpus_seed", at_least=0)
    titles: bool = setting(False, "agnews: put the title of an item before its description")
    min_words: int = setting(0, "leave out texts with fewer words, as bags of words count", at_least=0)
    max_train_examples: int | None = setting(None, "train on a random subset of at most this size", at_least=1)
    max_validation_examples: int | None = setting(
        None, "validate on a random subset of at most this size", at_least=1
    )
    streaming: bool = setting(False, "read the training texts from disk or the Hub in every epoch")
    validation_size: int = setting(2000, "rows of a stream that are held out for validation", at_least=1)
    reservoir_size: int = setting(100_000, "texts of a stream kept in memory for clustering", at_least=1)
    shuffle_buffer_size: int = setting(10_000, "texts of a stream that are shuffled together", at_least=1)
    keep_repeated: bool = setting(True, "keep held-out dialogues that are also training dialogues")
    context_turns: int = setting(0, "dialogues: turns before a text that are its context", at_least=0)
    speaker_markers: Literal["none", "context", "all"] | None = setting(
        None, "turns that start with their speaker's marker. Default: as published"
    )
    vocab_size: int | None = setting(
        None, "number of most frequent words kept. Default: 10000, documents 30004", at_least=1
    )
    tokenizer: Literal["words", "subwords"] | None = setting(
        None, "tokens of texts. Default: subwords for files, Hub ids and pretrained encoders, else words"
    )
    stop_words: Literal["english", "none"] = setting("english", "words that documents do not count")
    lowercase: bool | None = setting(None, "lower-case the texts. Default: words of raw corpora only")
    split_punctuation: bool | None = setting(None, "words: make marks tokens. Default: of raw corpora only")
    natural_writing: bool | None = setting(
        None, "write tokenised corpora as people do, with capitals and marks. Default: for pretrained models"
    )
    max_length: int | None = setting(
        None, "longest text in tokens, with begin and end. Default: 40, subwords 64, documents 512", at_least=3
    )
    features_dir: str | None = setting(
        None, "folder that keeps vectors of a pretrained encoder between runs. Default: the cache of Hugging Face"
    )
    corpus_seed: int = setting(0, "decides built-in corpora and which examples are held out", at_least=0)

    def load_corpus(self) -> Corpus:
        """The corpus of texts that these settings describe; errors are those of `ldebm_hf.data.load_corpus`."""
        return load_corpus(self.source, **self._options())

    def load_points(self) -> Corpus:
        """The corpus of points that these settings describe; errors are those of `ldebm_hf.data.load_points`."""
        return load_points(self.source, **self._options())

    def _options(self) -> dict[str, Any]:
        """The settings that are options of some source. A source accepts those it does not have at their default."""
        names = option_names()
        return {name: value for name, value in vars(self).items() if name in names} | {"seed": self.corpus_seed}

    @property
    def uses_subwords(self) -> bool:
        """Whether texts become subwords: as `tokenizer` says, else for a user's own files and Hub data sets."""
        if self.tokenizer is not None:
            return self.tokenizer == "subwords"
        return known_source(self.source) is None and self.split_punctuation is None

    def default_max_length(self, modality: type[Modality]) -> int:
        """The greatest length in tokens of the texts of a modality, unless `max_length` says otherwise."""
        if modality.is_autoregressive and self.uses_subwords:
            return SUBWORD_MAX_LENGTH
        return modality.default_max_length

    def build_tokenizer(
        self,
        corpus: Corpus,
        of_documents: bool = False,
        language_model: str | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
    ) -> PreTrainedTokenizerBase:
        """
        A tokenizer with the words, or the subwords, of the corpus's training texts; or that of a language model, given
        by its name or folder, whose code is run only if it is trusted.
        """
        if language_model is not None:
            length = self.max_length or SUBWORD_MAX_LENGTH
            return build_language_model_tokenizer(
                language_model, revision, max_length=length, trust_remote_code=trust_remote_code
            )
        modality = DocumentModality if of_documents else TextModality
        sizes = {
            "vocab_size": self.vocab_size or modality.default_vocab_size,
            "max_length": self.max_length or self.default_max_length(modality),
        }
        if of_documents:
            return build_document_tokenizer(corpus.train.texts, stop_words=self.stop_words, **sizes)
        markers = MARKERS if self.context_turns else ()
        if self.uses_subwords:
            return build_subword_tokenizer(
                corpus.train.texts, **sizes, lowercase=bool(self.lowercase), markers=markers
            )
        kind = known_source(self.source)
        is_raw_text = kind is None or not kind.is_tokenised
        return build_tokenizer(
            corpus.train.texts,
            **sizes,
            markers=markers,
            lowercase=is_raw_text if self.lowercase is None else self.lowercase,
            split_punctuation=is_raw_text if self.split_punctuation is None else self.split_punctuation,
        )
