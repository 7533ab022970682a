"""Requests of several threads that are answered in one pass of a model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class BatchedCalls(Generic[Request, Answer]):
    """
    A function of many requests, called with one request by each of several threads.

    One of the waiting threads computes for all: it takes the requests that have come so far and answers them in one
    call, while later ones wait for the next call. A request that comes alone is answered at once. There is no thread
    of its own, so that a process that is forked for a request answers it, too.

    Args:
        compute (`Callable`): Takes a list of requests and returns as many answers in their order. The answer to a
            request must not depend on the others. Requests must have been checked before, because an error that
            `compute` raises is that of all of them.
        lock (context manager): Held while `compute` runs.
        at_most (`int`): The most requests in one call.
    """

    def __init__(
        self,
        compute: Callable[[list[Request]], Sequence[Answer]],
        lock: AbstractContextManager,
        at_most: int,
    ):
        self.compute, self.lock, self.at_most = compute, lock, at_most
        self._changed = threading.Condition()
        self._waiting: list[_Call] = []
        self._is_busy = False

    def __call__(self, request: Request) -> Answer:
        """The answer to one request."""
        call: _Call = _Call(request)
        with self._changed:
            self._waiting.append(call)
            self._changed.wait_for(lambda: call.is_done or not self._is_busy)
            if call.is_done:
                return call.result()
            self._is_busy = True
        try:
            while not call.is_done:  # more than `at_most` may wait before this one
                self._answer_the_next()
        finally:
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()
        return call.result()

    def _answer_the_next(self) -> None:
        with self.lock:
            with self._changed:
                calls, self._waiting = self._waiting[: self.at_most], self._waiting[self.at_most :]
            try:
                answers = self.compute([call.request for call in calls])
                for call, answer in zip(calls, answers, strict=True):
                    call.answer = answer
            except BaseException as error:
                for call in calls:
                    call.error = error
        with self._changed:
            for call in calls:
                call.is_done = True
            self._changed.notify_all()


class _Call(Generic[Request, Answer]):
    """A request, and its answer or error once it is done."""

    def __init__(self, request: Request):
        self.request = request
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.is_done = False

    def result(self) -> Answer:
        if self.error is not None:
            raise self.error
        return self.answer
