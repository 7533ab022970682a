"""From the splits of a corpus to examples that a model of its modality reads."""

from torch import nn
from transformers import PreTrainedTokenizerBase

from ..data import PointSplit, Split, StreamedExamples
from ..model.configuration_ldebm import LDEBMConfig
from ..model.text_reading import TextReader
from .batches import Examples, PointExamples, TokenizedSplit
from .data_settings import DataSettings
from .dialogue_batches import DialogueExamples
from .features import FeatureCache
from .shards import InMemoryExamples, StreamedTexts, TrainingExamples


def prepare_split(
    split: Split | PointSplit,
    config: LDEBMConfig,
    tokenizer: PreTrainedTokenizerBase | None,
    max_length: int,
    features: FeatureCache | None = None,
    encoder: nn.Module | None = None,
) -> Examples:
    """A split as the model reads it: points, texts with the turns before them, or texts.

    Args:
        split: A split of the corpus that is in memory.
        config ([`LDEBMConfig`]): The model's.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): The model's; `None` for points.
        max_length (`int`): Longer texts are cut to this number of tokens.
        features ([`FeatureCache`], *optional*): Gives the texts their vectors, for a frozen pretrained encoder.
        encoder (`nn.Module`, *optional*): The model's; counts texts that are longer than a pretrained one reads.
    """
    if not config.modality_class.reads_texts:
        return PointExamples.from_split(split)
    reader = TextReader(tokenizer, config, max_length, encoder)
    kind = DialogueExamples if config.context_size else TokenizedSplit
    examples = kind.from_split(split, tokenizer, max_length, reader)
    if features is not None:
        examples.features = features.of_tokens(examples.token_ids)
    return examples


def prepare_training_split(
    split: Split | PointSplit | StreamedExamples,
    config: LDEBMConfig,
    tokenizer: PreTrainedTokenizerBase | None,
    data: DataSettings,
    step_size: int,
    features: FeatureCache | None = None,
    encoder: nn.Module | None = None,
) -> TrainingExamples:
    """The training split in shards: as one shard, or a stream as shards of `data.shuffle_buffer_size` texts.

    Args:
        step_size (`int`): Number of examples in an optimiser step, over all processes.
        features ([`FeatureCache`], *optional*), encoder (`nn.Module`, *optional*): As in [`prepare_split`].
    """
    if isinstance(split, StreamedExamples):
        return StreamedTexts(
            split,
            tokenizer,
            max_length=data.max_length,
            step_size=step_size,
            shard_size=data.shuffle_buffer_size,
            reader=TextReader(tokenizer, config, data.max_length, encoder),
            features=features,
        )
    return InMemoryExamples(prepare_split(split, config, tokenizer, data.max_length, features, encoder))
