"""Where the words of a model of documents start: at random, or as words that occur together."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from ..model.bag_of_words import word_counts
from ..model.modeling_ldebm import LDEBMModel
from ..text.word_vectors import train_vectors_by_texts

NUM_SCALING_TEXTS = 2000


@torch.no_grad()
def set_words_by_cooccurrence(
    model: LDEBMModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, seed: int = 0
) -> None:
    """
    Start an encoder of documents where texts on like topics are near each other, before any training.

    The first layer's word vectors become those of `train_vectors_by_texts` (PPMI and truncated SVD), a unit for each
    number and one for its opposite, so that the ReLUs behind lose nothing; with an odd number of units the last one
    keeps its weights. The corpus's mean word becomes 0, and the units' standard deviation over texts 1. Words that are
    in one text alone become 0. Of an encoder of one layer the posterior means start as the first of these numbers,
    those in which texts differ most.

    Args:
        model ([`LDEBMModel`]): Of documents.
        tokenizer (`PreTrainedTokenizerBase`): Its own.
        texts (`Sequence[str]`): The training texts; of few texts or words vectors have fewer numbers, one for ten
            texts, and the units that are left keep their weights. All do if no two words share a text.
        seed (`int`, *optional*, defaults to 0): Of the randomised decomposition.

    Raises:
        ValueError: Too few words.
    """
    layer = model.encoder.words
    size = max(1, min(layer.weight.shape[1] // 2, len(texts) // 10))
    found = train_vectors_by_texts(texts, size, min_count=2, max_words=len(layer.weight), seed=seed)
    size = found.vectors.shape[1]
    words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    known = [token for token, word in enumerate(words) if word in found.words]
    vectors = torch.zeros(len(words), size)
    vectors[known] = torch.from_numpy(found.of(words))
    frequency = model.decoder.background.cpu().softmax(-1)
    vectors[known] -= frequency[known] @ vectors[known] / frequency[known].sum()
    random_weight, random_bias = layer.weight.clone(), layer.bias.clone()
    layer.weight[:, : 2 * size] = torch.cat([vectors, -vectors], 1).to(layer.weight)
    layer.bias[: 2 * size] = 0
    some = np.linspace(0, len(texts) - 1, min(len(texts), NUM_SCALING_TEXTS)).astype(int)
    batch = tokenizer([texts[i] for i in some], return_tensors="pt", padding=True, truncation=True).to(model.device)
    counts = word_counts(batch["input_ids"], batch["attention_mask"], model.config)
    spread = layer(batch["input_ids"], counts)[:, :size].std()
    if not spread > 0:  # no two words share a text, so that nothing is known of them
        layer.weight.copy_(random_weight)
        layer.bias.copy_(random_bias)
        return
    layer.weight[:, : 2 * size] /= spread
    head = model.encoder.heads.mean
    if head is None or model.config.document_encoder_layers > 1:
        return
    first = torch.arange(min(size, len(head.weight)), device=head.weight.device)
    head.weight[first], head.bias[first] = 0, 0
    head.weight[first, first], head.weight[first, size + first] = 1, -1
