"""Recurrent networks over texts of different lengths: packing without padding, and a GRU that is fast on the CPU."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .compilation import not_compiled


def pack(padded: torch.Tensor, lengths: Sequence[int]) -> PackedSequence:
    """
    Pack the first `lengths[i]` entries of each row `i`, step after step.

    Rows that are ordered from long to short, as in training batches, are packed in this order, which avoids a GPU
    synchronisation.

    Args:
        padded (`torch.Tensor` of shape `(batch_size, length, ...)`): Rows with their padding on the right.
        lengths (`Sequence[int]`): Number of entries of each row, at least 1.
    """
    is_ordered = all(first >= second for first, second in zip(lengths, lengths[1:], strict=False))
    return pack_padded_sequence(padded, torch.tensor(lengths), batch_first=True, enforce_sorted=is_ordered)


@not_compiled  # which would rebuild the named tuple wrongly
def unpack(packed: PackedSequence, data: torch.Tensor) -> torch.Tensor:
    """
    Undo [`pack`]: rows `(batch_size, length, ...)`, 0 at padding.

    Args:
        packed (`PackedSequence`): Sequence that says where each row's entries are.
        data (`torch.Tensor` of shape `(sum of lengths, ...)`): Entries, in the order of `packed.data`.
    """
    return pad_packed_sequence(packed._replace(data=data), batch_first=True)[0]


def require_mask_of_ids(attention_mask: torch.Tensor, input_ids: torch.Tensor) -> None:
    """Raise ValueError if a mask has another shape than the tokens."""
    if attention_mask.shape != input_ids.shape:
        expected, got = tuple(input_ids.shape), tuple(attention_mask.shape)
        raise ValueError(f"attention_mask must have input_ids' shape {expected}, got {got}")


def text_lengths(input_ids: torch.Tensor, attention_mask: torch.Tensor | None, pad_token_id: int) -> list[int]:
    """
    Number of tokens of each text. Reading the mask needs a GPU synchronisation.

    Args:
        input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Tokens, padded on the right.
        attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 1 for tokens, 0 for
            padding; defaults to 0 at `pad_token_id`.

    Raises:
        ValueError: If there is no text, a text without tokens, or padding anywhere but on the right.
    """
    if input_ids.ndim != 2 or input_ids.numel() == 0:
        raise ValueError(f"input_ids must have shape (batch_size, sequence_length), got {tuple(input_ids.shape)}")
    if attention_mask is None:
        attention_mask = input_ids != pad_token_id
    require_mask_of_ids(attention_mask, input_ids)
    is_token = attention_mask.cpu() != 0
    right_padded = is_token[:, 0] & (is_token[:, 1:] <= is_token[:, :-1]).all(-1)
    if not right_padded.all():
        row = right_padded.int().argmin().item()
        raise ValueError(
            "attention_mask must be ones and then zeros, with padding on the right and at least one token, "
            f"got {is_token[row].int().tolist()} in row {row}"
        )
    return is_token.sum(-1).tolist()


def embed(
    embedding: nn.Embedding, input_ids: torch.Tensor, tokens: PackedSequence, lengths: Sequence[int]
) -> torch.Tensor:
    """
    Embeddings of `tokens`, which are the token ids `(batch_size, sequence_length)` packed, in their order.

    Hooks of the embedding, such as the one by which transformers' `Trainer` adds noise (NEFTune, Jain et al., ICLR
    2024), get `(batch_size, sequence_length, embedding_dim)`, as in any model.
    """
    if embedding._forward_hooks:
        return pack(embedding(input_ids), lengths).data
    return embedding(tokens.data)


class GRU(nn.GRU):
    """
    `torch.nn.GRU` of one layer, with the same parameters and results.

    On the CPU, torch computes a gradient of the size of all weights at every step and adds these up. Here packed
    sequences in full precision go through [`PackedGRU`], whose weight gradients are one matrix product over all steps.
    GPUs (cuDNN), padded input and mixed precision use torch's own code.
    """

    def forward(self, input: torch.Tensor | PackedSequence, hx: torch.Tensor | None = None):
        """Arguments and results as `torch.nn.GRU`; `hx` `(num_directions, batch_size, hidden_size)`."""
        if isinstance(input, PackedSequence) and _is_plain_cpu(input.data, self.weight_hh_l0):
            return self._forward_packed(input, hx, input.data)
        return super().forward(input, hx)

    def read(self, embedding: nn.Embedding, input_ids: torch.Tensor, lengths: Sequence[int]):
        """
        As `forward` on the embeddings of token ids `(batch_size, sequence_length)`, padded on the right; on the CPU,
        each distinct word is projected once.
        """
        tokens = pack(input_ids, lengths)
        if _is_plain_cpu(embedding.weight, self.weight_hh_l0) and not embedding._forward_hooks:
            words, places = tokens.data.unique(return_inverse=True)
            return self._forward_packed(tokens, None, embedding(words), places)
        return self(tokens._replace(data=embed(embedding, input_ids, tokens, lengths)))

    def _forward_packed(
        self,
        packed: PackedSequence,
        hx: torch.Tensor | None,
        vectors: torch.Tensor,
        places: torch.Tensor | None = None,
    ) -> tuple[PackedSequence, torch.Tensor]:
        _, batch_sizes, sorted_indices, unsorted_indices = packed
        sizes = batch_sizes.tolist()
        if hx is None:
            hx = vectors.new_zeros(1 + self.bidirectional, sizes[0], self.hidden_size)
        elif sorted_indices is not None:
            hx = hx.index_select(1, sorted_indices)
        outputs, finals = [], []
        for suffix, state in zip(("", "_reverse"), hx, strict=False):
            names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
            parameters = [getattr(self, name + suffix) for name in names]
            output, final = PackedGRU.apply(vectors, places, state, *parameters, sizes, suffix == "_reverse")
            outputs.append(output)
            finals.append(final)
        final = torch.stack(finals)
        if unsorted_indices is not None:
            final = final.index_select(1, unsorted_indices)
        return packed._replace(data=torch.cat(outputs, -1)), final


def _is_plain_cpu(data: torch.Tensor, weight: torch.Tensor) -> bool:
    return (
        data.device.type == "cpu"
        and data.dtype == weight.dtype
        and data.dtype.itemsize >= 4
        and not torch.is_autocast_enabled("cpu")
    )


class PackedGRU(torch.autograd.Function):
    """
    One direction of a GRU over packed tokens. Step t has the first `sizes[t]` rows.

    Arguments of `apply`: the tokens' vectors `(num_tokens, input_size)` and `None`, or the vectors of distinct words
    `(num_words, input_size)` and the index of each token's word `(num_tokens,)`; the initial state
    `(batch_size, hidden_size)`; torch's two weights and two biases; `sizes`; and whether to run from the last step to
    the first. It returns the states after every token, `(num_tokens, hidden_size)`, and the last state of each row,
    `(batch_size, hidden_size)`.
    """

    @staticmethod
    def forward(ctx, vectors, places, initial, input_weight, hidden_weight, input_bias, hidden_bias, sizes, reverse):
        size = hidden_weight.shape[1]
        # The tokens' input to the gates, all at once; below it becomes reset, update and candidate in place.
        gates = torch.addmm(input_bias, vectors, input_weight.T)
        if places is not None:
            gates = gates[places]
        outputs, before, pulls = (gates.new_empty(len(gates), size) for _ in range(3))
        state = initial.clone()
        for rows, at in _steps(sizes, reverse):
            from_state = torch.addmm(hidden_bias, state[:rows], hidden_weight.T)
            before[at], pulls[at] = state[:rows], from_state[:, 2 * size :]
            reset_update, candidate = gates[at, : 2 * size], gates[at, 2 * size :]
            reset_update.add_(from_state[:, : 2 * size]).sigmoid_()
            candidate.addcmul_(reset_update[:, :size], pulls[at]).tanh_()
            torch.lerp(candidate, state[:rows], reset_update[:, size:], out=outputs[at])
            state[:rows] = outputs[at]
        ctx.save_for_backward(vectors, places, input_weight, hidden_weight, gates, before, pulls)
        ctx.sizes, ctx.reverse = sizes, reverse
        ctx.set_materialize_grads(False)
        return outputs, state

    @staticmethod
    @once_differentiable
    def backward(ctx, output_gradient, final_gradient):
        vectors, places, input_weight, hidden_weight, gates, before, pulls = ctx.saved_tensors
        size = hidden_weight.shape[1]
        # Gradients of the state's input to the gates, and of the token's input to the candidate.
        from_state, from_token = torch.empty_like(gates), torch.empty_like(pulls)
        gradient = before.new_zeros(ctx.sizes[0], size) if final_gradient is None else final_gradient.clone()
        for rows, at in reversed(_steps(ctx.sizes, ctx.reverse)):
            reset, update, candidate = gates[at].split(size, dim=1)
            after = gradient[:rows]
            if output_gradient is not None:
                after = after + output_gradient[at]
            candidate_gradient = torch.ops.aten.tanh_backward(after - after * update, candidate)
            from_token[at] = candidate_gradient
            reset_gradient = candidate_gradient * pulls[at]
            update_gradient = after * (before[at] - candidate)
            from_state[at, :size] = torch.ops.aten.sigmoid_backward(reset_gradient, reset)
            from_state[at, size : 2 * size] = torch.ops.aten.sigmoid_backward(update_gradient, update)
            torch.mul(candidate_gradient, reset, out=from_state[at, 2 * size :])
            gradient[:rows] = torch.addmm(after * update, from_state[at], hidden_weight)
        from_vector = torch.cat([from_state[:, : 2 * size], from_token], 1)
        if places is not None:
            from_vector = from_vector.new_zeros(len(vectors), 3 * size).index_add_(0, places, from_vector)
        return (
            from_vector @ input_weight,
            None,
            gradient,
            from_vector.T @ vectors,
            from_state.T @ before,
            from_vector.sum(0),
            from_state.sum(0),
            None,
            None,
        )


def _steps(sizes: list[int], reverse: bool) -> list[tuple[int, slice]]:
    """Number of rows and place among the packed tokens of each step, in the order of the recurrence."""
    steps, start = [], 0
    for rows in sizes:
        steps.append((rows, slice(start, start + rows)))
        start += rows
    return steps[::-1] if reverse else steps
