"""What keeps more than half precision in a model that is in half precision."""

import torch
from torch import nn


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor, in float32 if it is in half precision."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor


class AtLeastFloat32(nn.Module):
    """Follows the model between devices, but stays float32 under `model.half()` and `model.to(torch.bfloat16)`."""

    def _apply(self, fn, recurse=True):
        def converted_or_kept(tensor: torch.Tensor) -> torch.Tensor:
            converted = fn(tensor)
            return tensor.to(converted.device) if converted.dtype.itemsize < 4 else converted

        return super()._apply(converted_or_kept, recurse)
