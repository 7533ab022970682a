"""A GRU that is trained quickly on the CPU."""

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import PackedSequence


class GRU(nn.GRU):
    """
    `torch.nn.GRU` of one layer, with the same parameters and results.

    On the CPU, torch differentiates it step by step: every step makes a gradient of the size of all weights and adds
    it up. Here packed sequences of full precision go through [`PackedGRU`], whose weight gradients are one matrix
    product over all steps. Everything else is torch's: cuDNN on a GPU, padded input, and mixed precision.
    """

    def forward(self, input: torch.Tensor | PackedSequence, hx: torch.Tensor | None = None):
        """Arguments and results as `torch.nn.GRU`; `hx` `(num_directions, batch_size, hidden_size)`."""
        if not isinstance(input, PackedSequence) or not _is_plain_cpu(input.data, self.weight_hh_l0):
            return super().forward(input, hx)
        data, batch_sizes, sorted_indices, unsorted_indices = input
        sizes = batch_sizes.tolist()
        if hx is None:
            hx = data.new_zeros(1 + self.bidirectional, sizes[0], self.hidden_size)
        elif sorted_indices is not None:
            hx = hx.index_select(1, sorted_indices)
        suffixes = ("", "_reverse")[: 1 + self.bidirectional]
        outputs, finals = zip(
            *(
                PackedGRU.apply(
                    data,
                    state,
                    getattr(self, f"weight_ih_l0{suffix}"),
                    getattr(self, f"weight_hh_l0{suffix}"),
                    getattr(self, f"bias_ih_l0{suffix}"),
                    getattr(self, f"bias_hh_l0{suffix}"),
                    sizes,
                    suffix == "_reverse",
                )
                for suffix, state in zip(suffixes, hx, strict=True)
            ),
            strict=True,
        )
        final = torch.stack(finals)
        if unsorted_indices is not None:
            final = final.index_select(1, unsorted_indices)
        output = torch.cat(outputs, -1) if self.bidirectional else outputs[0]
        return PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices), final


def _is_plain_cpu(data: torch.Tensor, weight: torch.Tensor) -> bool:
    return (
        data.device.type == "cpu"
        and data.dtype == weight.dtype
        and data.dtype.itemsize >= 4
        and not torch.is_autocast_enabled("cpu")
    )


class PackedGRU(torch.autograd.Function):
    """
    One direction of a GRU over packed tokens; of T steps, step t has the first `sizes[t]` rows.

    Apply it to: tokens `(num_tokens, input_size)`, initial state `(batch_size, hidden_size)`, torch's two weights and
    two biases, `sizes`, and whether to run from the last step to the first. It returns the states after every token
    `(num_tokens, hidden_size)` and each row's last one `(batch_size, hidden_size)`.
    """

    @staticmethod
    def forward(ctx, tokens, initial, input_weight, hidden_weight, input_bias, hidden_bias, sizes, reverse):
        size = hidden_weight.shape[1]
        # What the gates get from the tokens, all at once; below it becomes reset, update and candidate in place.
        gates = torch.addmm(input_bias, tokens, input_weight.T)
        outputs, before, pulls = (gates.new_empty(len(tokens), size) for _ in range(3))
        state = initial.clone()
        for rows, at in _steps(sizes, reverse):
            from_state = torch.addmm(hidden_bias, state[:rows], hidden_weight.T)
            before[at], pulls[at] = state[:rows], from_state[:, 2 * size :]
            reset_update, candidate = gates[at, : 2 * size], gates[at, 2 * size :]
            reset_update.add_(from_state[:, : 2 * size]).sigmoid_()
            candidate.addcmul_(reset_update[:, :size], pulls[at]).tanh_()
            torch.lerp(candidate, state[:rows], reset_update[:, size:], out=outputs[at])
            state[:rows] = outputs[at]
        ctx.save_for_backward(tokens, input_weight, hidden_weight, gates, before, pulls)
        ctx.sizes, ctx.reverse = sizes, reverse
        ctx.set_materialize_grads(False)
        return outputs, state

    @staticmethod
    @once_differentiable
    def backward(ctx, output_gradient, final_gradient):
        tokens, input_weight, hidden_weight, gates, before, pulls = ctx.saved_tensors
        size = hidden_weight.shape[1]
        # Gradients of what the state adds to the gates, and of what the token adds to the candidate.
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
        of_reset_update = from_state[:, : 2 * size]
        token_gradient = of_reset_update @ input_weight[: 2 * size]
        token_gradient.addmm_(from_token, input_weight[2 * size :])
        return (
            token_gradient,
            gradient,
            torch.cat([of_reset_update.T @ tokens, from_token.T @ tokens]),
            from_state.T @ before,
            torch.cat([of_reset_update.sum(0), from_token.sum(0)]),
            from_state.sum(0),
            None,
            None,
        )


def _steps(sizes: list[int], reverse: bool) -> list[tuple[int, slice]]:
    """Each step's number of rows and place among the packed tokens, in the order of the recurrence."""
    steps, start = [], 0
    for rows in sizes:
        steps.append((rows, slice(start, start + rows)))
        start += rows
    return steps[::-1] if reverse else steps
