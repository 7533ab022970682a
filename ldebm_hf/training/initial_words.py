"""Initial word vectors of a model of documents, from the words that occur in the same texts."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from ..model.bag_of_words import word_counts
from ..model.modeling_ldebm import LDEBMModel
from ..text.word_vectors import train_vectors_by_texts
from ..text.words import split_words

NUM_SCALING_TEXTS = 2000


@torch.no_grad()
def set_words_by_cooccurrence(
    model: LDEBMModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, seed: int = 0
) -> str | None:
    """
    Initialise the encoder of a model of documents so that it maps texts on similar topics to nearby points.

    The weights of the first layer become word vectors from `train_vectors_by_texts` (PPMI and truncated SVD). Each
    component of the vectors has two units, one of them with the opposite sign, so that nothing is lost in the ReLU
    that follows; if the number of units is odd, the last one keeps its weights. The vectors are shifted so that the
    mean word of the corpus is 0, and scaled so that the units have a standard deviation of 1 over texts. Words that
    occur in a single text get a vector of zeros. If the encoder has one layer, the posterior means are initialised as
    the leading components, in which texts differ most.

    Args:
        model ([`LDEBMModel`]): A model of documents, changed in place.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer.
        texts (`Sequence[str]`): The training texts. Vectors have at most one component per ten texts; units without a
            component keep their weights, and all units do if no two words share a text.
        seed (`int`, *optional*, defaults to 0): Seed of the randomised decomposition.

    Returns:
        `str`, *optional*: Why the encoder keeps its random weights, if the texts do not tell words apart: where every
        text is a single word, or all texts are the same.
    """
    layer = model.encoder.words
    random_weights = layer.weight.clone(), layer.bias.clone()
    size = max(1, min(layer.weight.shape[1] // 2, len(texts) // 10))
    split = partial(split_words, split_unspaced=tokenizer.tokenize)
    try:
        found = train_vectors_by_texts(texts, size, min_count=2, max_words=len(layer.weight), seed=seed, split=split)
    except ValueError as error:
        return str(error)
    size = found.vectors.shape[1]
    words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    known = [token for token, word in enumerate(words) if word in found.words]
    vectors = torch.zeros(len(words), size)
    vectors[known] = torch.from_numpy(found.look_up(words))
    frequency = model.decoder.background.cpu().softmax(-1)
    vectors[known] -= frequency[known] @ vectors[known] / frequency[known].sum()
    layer.weight[:, : 2 * size] = torch.cat([vectors, -vectors], 1).to(layer.weight)
    layer.bias[: 2 * size] = 0
    sample = np.linspace(0, len(texts) - 1, min(len(texts), NUM_SCALING_TEXTS)).astype(int)
    batch = tokenizer([texts[i] for i in sample], return_tensors="pt", padding=True, truncation=True).to(model.device)
    counts = word_counts(batch["input_ids"], batch["attention_mask"], model.config)
    spread = layer(batch["input_ids"], counts)[:, :size].std()
    if not spread > 0:  # no two words share a text, so that nothing is known of them
        layer.weight.copy_(random_weights[0])
        layer.bias.copy_(random_weights[1])
        return "no two words occur in the same text"
    layer.weight[:, : 2 * size] /= spread
    head = model.encoder.heads.mean
    if head is None or model.config.document_encoder_layers > 1:
        return
    leading = torch.arange(min(size, len(head.weight)), device=head.weight.device)
    head.weight[leading] = 0
    head.bias[leading] = 0
    head.weight[leading, leading] = 1
    head.weight[leading, size + leading] = -1
