"""How transformers' `Trainer` learns that the model has a loss with and without labels."""

import functools
import inspect
from types import MethodType


class LossWithoutLabels:
    """
    Decorator of a `forward` that always has a loss, whose arguments with "label" in their names are optional.

    `Trainer` asks the class of a model for such arguments, and if there are any, it evaluates no loss unless a batch
    has all of them. If there are none, it does so for models that have an argument `return_loss`. Hence the class
    shows its signature without labels. The columns of a data set that the model can read are those of the signature of
    the model itself, which is complete.

    Args:
        forward (`Callable`): The method.
    """

    def __init__(self, forward):
        self.forward = forward
        signature = inspect.signature(forward)
        shown = [parameter for name, parameter in signature.parameters.items() if "label" not in name]

        @functools.wraps(forward)
        def of_class(*args, **kwargs):
            return forward(*args, **kwargs)

        of_class.__signature__ = signature.replace(parameters=shown)
        self.of_class = of_class

    def __get__(self, model, owner=None):
        return self.of_class if model is None else MethodType(self.forward, model)
