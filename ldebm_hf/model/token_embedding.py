"""Embeddings of tokens, and errors that name an id outside of its range."""

import torch
from torch import nn


class TokenEmbedding(nn.Embedding):
    """
    `torch.nn.Embedding`, but on the CPU an id outside of the vocabulary is named, where torch says only that some
    index is out of range. On a GPU it stays torch's error, because looking at the ids would wait for the device.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Embeddings `(*, embedding_dim)` of token ids `(*)`."""
        try:
            return super().forward(input)
        except IndexError as error:
            raise ValueError(outside_of_range("token ids", input, self.num_embeddings, "vocab_size")) from error


def all_vectors(embedding: nn.Module) -> torch.Tensor:
    """
    The vectors of all tokens, `(num_embeddings, embedding_dim)`, as an embedding gives them. Those of one with an
    adapter of peft around it are not its `weight`.
    """
    weight = embedding.weight
    if isinstance(embedding, nn.Embedding):
        return weight
    return embedding(torch.arange(len(weight), device=weight.device))


def outside_of_range(name: str, ids: torch.Tensor, size: int, setting: str, exempt: int | None = None) -> str:
    """
    What is wrong with ids of which some are outside of `0..size - 1`.

    Args:
        name (`str`): What the ids are.
        ids (`torch.LongTensor`): All of them.
        size (`int`): Number of ids that are allowed.
        setting (`str`): The setting that says so.
        exempt (`int`, *optional*): Another id that is allowed, for what is unknown.
    """
    wrong = ids[(ids < 0) | (ids >= size)]
    wrong = wrong[wrong != exempt] if exempt is not None else wrong
    also = "" if exempt is None else f" or {exempt} (unknown)"
    return f"{name} must be in 0..{size - 1}, as {setting}{also}, got {wrong[0].item()}"
