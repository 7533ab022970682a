"""The cross-entropy of next tokens, without the logits of all tokens in memory."""

import math

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .compilation import not_compiled

IGNORE_INDEX = -100  # marks padding among target tokens, and unknown symbols among class labels


def vocabulary_loss(
    hidden: torch.Tensor, vocabulary: torch.Tensor, targets: torch.Tensor, product_dtype: torch.dtype | None = None
) -> torch.Tensor:
    """
    -log p of target tokens in nats, summed over all tokens.

    In full precision the logits of a part of the tokens exist at a time, as many numbers as all hidden states have;
    the loss can then be differentiated only once. In half precision the logits of all tokens do, in float32.

    Args:
        hidden (`torch.Tensor` of shape `(num_tokens, hidden_size)`): The decoder's states.
        vocabulary (`torch.Tensor` of shape `(vocab_size, hidden_size)`): Output projection; logits are
            `hidden @ vocabulary.T`.
        targets (`torch.LongTensor` of shape `(num_tokens,)`): Token ids; -100 is not counted.
        product_dtype (`torch.dtype`, *optional*): What operands and results of the three products (logits, gradients
            of `hidden` and of `vocabulary`) are rounded to, for example `torch.bfloat16`; probabilities, the loss and
            sums over parts keep the precision of `hidden`. Default: nothing is rounded. It has no effect in half
            precision.
    """
    if torch.is_autocast_enabled(hidden.device.type) or hidden.dtype.itemsize < 4:
        logits = F.linear(hidden, vocabulary).float()
        return F.cross_entropy(logits, targets, ignore_index=IGNORE_INDEX, reduction="sum")
    return _loss_in_parts(hidden, vocabulary, targets, product_dtype or hidden.dtype)


@not_compiled
def _loss_in_parts(
    hidden: torch.Tensor, vocabulary: torch.Tensor, targets: torch.Tensor, product_dtype: torch.dtype
) -> torch.Tensor:
    num_parts = math.ceil(len(vocabulary) / hidden.shape[1])
    part_size = 2 ** math.ceil(math.log2(max(1, math.ceil(len(hidden) / num_parts))))
    return _LossInParts.apply(hidden, vocabulary, targets, product_dtype, part_size, torch.is_grad_enabled())


class _LossInParts(torch.autograd.Function):
    """The loss and, if they are needed, its gradients: both from the logits of `part_size` tokens at a time."""

    @staticmethod
    def forward(ctx, hidden, vocabulary, targets, product_dtype, part_size, with_gradients):
        total = hidden.new_zeros(())
        with_gradients = with_gradients and any(ctx.needs_input_grad)
        is_rounded = product_dtype != hidden.dtype
        words = vocabulary.to(product_dtype)
        # Buffers for all parts, because fresh memory costs as much time as a product.
        size = min(part_size, len(hidden)), len(vocabulary)
        products = hidden.new_empty(size, dtype=product_dtype)
        logits = hidden.new_empty(size) if is_rounded else products
        all_probabilities = hidden.new_empty(size)
        if with_gradients:
            hidden_gradient, vocabulary_gradient = torch.empty_like(hidden), torch.zeros_like(vocabulary)
            rounded_gradient = torch.empty_like(words) if is_rounded else None
        for start in range(0, len(hidden), part_size):
            part = slice(start, start + part_size)
            states, ids = hidden[part].to(product_dtype), targets[part]
            is_counted = (ids != IGNORE_INDEX)[:, None]
            ids = ids.where(is_counted[:, 0], 0)[:, None]
            rounded = products[: len(states)]
            torch.mm(states, words.T, out=rounded)
            wide = logits[: len(states)].copy_(rounded)
            probabilities = torch.softmax(wide, -1, out=all_probabilities[: len(states)])
            # Of the most probable token, whose probability is never rounded to 0: one pass less than with log_softmax.
            log_normalizer = wide.amax(-1, keepdim=True) - probabilities.amax(-1, keepdim=True).log()
            total += ((log_normalizer - wide.gather(1, ids)) * is_counted).sum()
            if with_gradients:
                error = probabilities.scatter_add_(1, ids, -torch.ones_like(ids, dtype=hidden.dtype))
                error.mul_(is_counted)
                if is_rounded:
                    rounded.copy_(error)
                    hidden_gradient[part] = rounded @ words
                    vocabulary_gradient += torch.mm(rounded.T, states, out=rounded_gradient)
                else:
                    torch.mm(error, words, out=hidden_gradient[part])
                    vocabulary_gradient.addmm_(error.T, states)
        if with_gradients:
            ctx.save_for_backward(hidden_gradient, vocabulary_gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        hidden_gradient, vocabulary_gradient = ctx.saved_tensors
        return gradient * hidden_gradient, gradient * vocabulary_gradient, None, None, None, None
