"""How a visitor's requests reach functions: the queues, the names of endpoints, and errors in words."""

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gradio as gr
from gradio.events import Dependency

from ..limits import BadRequest
from ..page_requests import MOST_AT_ONCE

try:
    import spaces

    on_gpu = spaces.GPU(duration=60)  # ZeroGPU lends one for each request
except ImportError:

    def on_gpu(function: Callable) -> Callable:
        return function


INTERNAL_ERROR = "Something went wrong on our side. The error has been logged; please try something else."
ANSWERS, COMPLETIONS, TRAININGS = "answers", "completions", "trainings"
AT_ONCE = {ANSWERS: MOST_AT_ONCE, COMPLETIONS: 1, TRAININGS: 4}
"""The requests of each queue that are taken up at the same time."""


@contextmanager
def worded_errors(name: str) -> Iterator[None]:
    """Show a [`BadRequest`] to the visitor, and for any other error a message without details, which are logged."""
    try:
        yield
    except gr.Error:
        raise
    except BadRequest as error:
        raise gr.Error(str(error), title="Please check your input", print_exception=False) from None
    except Exception:
        logging.getLogger(__name__).exception("%s failed", name)
        raise gr.Error(INTERNAL_ERROR, print_exception=False) from None


def answering(function: Callable) -> Callable:
    """A function whose errors are worded for the visitor, see [`worded_errors`]."""

    @functools.wraps(function)
    def answer(*arguments, **named):
        with worded_errors(function.__name__):
            return function(*arguments, **named)

    return answer


def answering_in_steps(function: Callable) -> Callable:
    """The same for a function that yields answers, one after the other."""

    @functools.wraps(function)
    def answer(*arguments, **named):
        with worded_errors(function.__name__):
            yield from function(*arguments, **named)

    return answer


def on_request(
    event,
    function: Callable,
    inputs,
    outputs,
    name: str | None = None,
    description: str = "",
    queue: str = ANSWERS,
    borrows_gpu: bool = True,
) -> Dependency:
    """
    Call a function on an event, or on several. Requests of all visitors wait in one of the queues, so that those that
    take a moment do not wait for those that take seconds; what they need of the model [`PageRequests`] computes for
    several of them together. With a name it is also an API endpoint. It gets the inputs as they come and checks them
    itself, so that wrong types are answered by a sentence. Functions of a visitor's own model, which is on the CPU,
    borrow no GPU: it would answer in another process, and the model cannot be sent there.
    """
    return gr.on(
        event if isinstance(event, list) else [event],
        on_gpu(function) if borrows_gpu else function,
        inputs,
        outputs,
        api_name=name,
        api_description=description or False,
        api_visibility="public" if name else "private",
        preprocess=False,
        concurrency_limit=AT_ONCE[queue],
        show_progress="hidden" if queue == TRAININGS else "full",  # a training shows its own
        concurrency_id=queue,
    )


def on_submission(event, function: Callable, inputs, output) -> None:
    """
    Call a function that computes nothing with the model, such as one that says what is not read of a text, beside the
    request of the same event.
    """
    gr.on(
        event if isinstance(event, list) else [event],
        function,
        inputs,
        output,
        api_visibility="private",
        preprocess=False,
    )
