"""Buffers that the configuration determines, and that are therefore not saved."""

import torch
from torch import nn
from transformers import initialization as init


class ComputedBuffers(nn.Module):
    """
    Base class of modules with constants that [`compute`] returns. The constants are buffers, so that they follow the
    model between devices; they are not part of the state dict, and every way of loading one computes them again.
    """

    def compute(self) -> dict[str, torch.Tensor]:
        """The constants by name. Subclasses define it."""
        raise NotImplementedError

    def register_computed(self) -> None:
        """Register the constants as buffers. Subclasses call it in their constructor."""
        for name, values in self.compute().items():
            self.register_buffer(name, values, persistent=False)

    def init_tensors(self) -> None:
        """Fill the buffers."""
        for name, values in self.compute().items():
            init.copy_(getattr(self, name), values)

    @torch.no_grad()
    def _load_from_state_dict(self, state_dict, *args, **kwargs) -> None:
        # A model that was built on the meta device has no values yet: `to_empty` gives it memory that nobody has
        # filled, and `load_state_dict(…, assign=True)` puts saved tensors in the place of its own.
        super()._load_from_state_dict(state_dict, *args, **kwargs)
        for name, values in self.compute().items():
            buffer = getattr(self, name)
            if buffer.is_meta:
                loaded = next((tensor for tensor in state_dict.values() if isinstance(tensor, torch.Tensor)), values)
                setattr(self, name, values.to(loaded.device))
            else:
                buffer.copy_(values)
