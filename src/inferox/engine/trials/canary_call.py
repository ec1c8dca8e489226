"""A request that a canary answers, or the serving artifact if the canary fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import ref

from inferox.core import InferoxError
from inferox.engine.answer import Answer
from inferox.engine.request import RequestOptions
from inferox.engine.thread_start import start_thread
from inferox.engine.trials.canary_trial import CanaryTrial
from inferox.engine.trials.comparer import keep_first
from inferox.engine.unexpected import to_failure

_logger = logging.getLogger(__name__)


class CanaryCall:
    """A request that a canary answers, or the serving artifact if the canary fails.

    Args:
        canary: The canary.
        items: The items.
        options: The options of the request.
        ask_serving: Submits it to the serving artifact.
        finish: Converts the canary's answer to the caller's.

    Attributes:
        future: The future of the answer. Cancelling it drops what is not computed yet.
    """

    def __init__(
        self,
        canary: CanaryTrial,
        items: Sequence[Any],
        options: RequestOptions,
        *,
        ask_serving: Callable[[], Future[Answer]],
        finish: Callable[[Answer], Answer],
    ) -> None:
        self.future: Future[Answer] = Future()
        self._canary = canary
        self._kept = keep_first(items)
        self._options = options
        self._ask_serving = ask_serving
        self._finish = finish
        # Futures keep their callbacks: that of the canary's answer refers to this object, and so do this object and
        # the caller's future only weakly, so that they are no cycle of garbage.
        self._computing: ref[Future[Answer]] | None = None
        self.future.add_done_callback(partial(_drop, ref(self)))

    def follow(self, computing: Future[Answer]) -> None:
        """Waits for the canary's answer.

        Args:
            computing: The future of that answer.
        """
        self._watch(computing)
        computing.add_done_callback(self._take)

    def follow_serving(self, computing: Future[Answer], error: InferoxError) -> None:
        """Waits for the serving artifact's answer.

        Args:
            computing: The future of that answer.
            error: The canary's error. The canary is to blame only if the serving artifact can answer.
        """
        self._watch(computing)

        def take(done: Future[Answer]) -> None:
            if done.cancelled():
                self.future.cancel()
            elif (failure := done.exception()) is not None:
                self._fail(failure)
            else:
                self._canary.note_failure(error)
                self._answer(done.result())

        computing.add_done_callback(take)

    def _take(self, done: Future[Answer]) -> None:
        if done.cancelled():
            self.future.cancel()
        elif (error := done.exception()) is None:
            self._canary.note_answer(self._kept, self._options, done.result())
            self._answer(self._finish(done.result()))
        elif isinstance(error, InferoxError):
            # This may be the computing thread, which would deadlock.
            if start_thread("inferox-fall-back", partial(self._fall_back, error)) is None:
                self._fail(error)
        else:
            self._fail(error)

    def _fall_back(self, error: InferoxError) -> None:
        try:
            self.follow_serving(self._ask_serving(), error)
        except Exception as failure:
            if not isinstance(failure, InferoxError):
                _logger.exception("answering in place of a canary failed")
            self._fail(to_failure("answering in place of a canary", failure))

    def _watch(self, computing: Future[Answer]) -> None:
        self._computing = ref(computing)
        if self.future.done():
            computing.cancel()

    def drop(self) -> None:
        """Drops what is not computed yet."""
        if self._computing is not None and (computing := self._computing()) is not None:
            computing.cancel()

    def _answer(self, answer: Answer) -> None:
        with suppress(InvalidStateError):
            self.future.set_result(answer)

    def _fail(self, error: BaseException) -> None:
        with suppress(InvalidStateError):
            self.future.set_exception(error)


def _drop(call: ref[CanaryCall], _: Future[Answer]) -> None:
    if (dropped := call()) is not None:
        dropped.drop()
