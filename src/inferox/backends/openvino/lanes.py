"""Concurrent computations of a graph, which is compiled anew after each failure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Lock
from typing import Any

import numpy.typing as npt
import openvino

from inferox.core import is_failure

Arrays = dict[str, npt.NDArray[Any]]


class Lanes:
    """The requests of one compilation of a graph. It is compiled when first needed, and anew once a call has failed.

    Once a graph has failed within its computation, some later calls get what it computed before (seen with 2026.4): no
    other call may meet it, and what was computed in it at the same time may be wrong. The call that failed compiles
    the next one.

    Args:
        compile_for: Compiles the graph for a number of concurrent calls.
        count: That number.
        first: The first compilation, if there is one already.
        on_failure: Told if compiling fails; from then on, all calls must be computed elsewhere. Without it, compiling
            raises.
    """

    def __init__(
        self,
        compile_for: Callable[[int], openvino.CompiledModel],
        count: int,
        first: openvino.CompiledModel | None = None,
        *,
        on_failure: Callable[[BaseException], object] | None = None,
    ) -> None:
        self._compile_for, self._count, self._on_failure = compile_for, count, on_failure
        self._current = None if first is None else _Requests(first, count)
        self._compiling = Lock()
        self._is_closing = self._is_given_up = False

    def close(self) -> None:
        """Says that no further calls begin: one that fails now compiles nothing for those after it."""
        self._is_closing = True

    def release(self) -> None:
        """Releases the compilation, which is compiled anew if it is needed again."""
        self._current = None

    def compute(self, infer: Callable[[openvino.InferRequest], Arrays], *, waits: bool) -> Arrays | None:
        """Computes a call as soon as a request is idle.

        Args:
            infer: Computes it with a request, and returns its outputs.
            waits: Whether to wait while another thread compiles.

        Returns:
            The outputs; ``None`` if the call must be computed elsewhere: another call has failed here, another thread
            compiles, or compiling has failed.

        Raises:
            BaseException: Whatever ``infer`` raises, once the next compilation is ready, or at once if it is a request
                to stop; or what compiling raises.
        """
        requests = self._get(waits=waits)
        if requests is None:
            return None
        try:
            request = requests.take()
            if request is None:
                return None
            outputs = None if requests.failed.is_set() else infer(request)
            # A call that failed beside it may have left its numbers where this one's belong.
            is_lost = requests.have_failed()
            requests.give_back(request)
        except BaseException as error:
            requests.failed.set()
            try:
                if is_failure(error):
                    self._replace(requests)
            finally:
                self._drop(requests)  # Ctrl-C may come before or while it is replaced
            raise
        return None if is_lost else outputs

    def _replace(self, requests: _Requests) -> None:
        # Other calls wait for a request, or for the lock, until it is held: none of them compiles in place of this one.
        with self._compiling:
            if self._drop(requests) and not self._is_closing:
                self._current = self._compile()

    def _drop(self, requests: _Requests) -> bool:
        """Ends the use of requests, and returns whether they were the current ones."""
        is_current = self._current is requests
        if is_current:
            self._current = None
        requests.end()
        return is_current

    def _compile(self) -> _Requests | None:
        if self._is_given_up:
            return None
        try:
            return _Requests(self._compile_for(self._count), self._count)
        except BaseException as error:
            if self._on_failure is None or not is_failure(error):
                raise
            self._is_given_up = True
            self._on_failure(error)
            return None

    def _get(self, *, waits: bool) -> _Requests | None:
        if (requests := self._current) is not None:
            return requests
        if not self._compiling.acquire(blocking=waits):
            return None
        try:
            if (requests := self._current) is None:
                requests = self._current = self._compile()
            return requests
        finally:
            self._compiling.release()


class _Requests:
    """The requests of one compilation, which calls use in the order in which they came.

    Attributes:
        failed: Set once one of them has failed.
    """

    def __init__(self, compiled: openvino.CompiledModel, count: int) -> None:
        self.failed = Event()
        self._requests = [compiled.create_infer_request() for _ in range(count)]
        self._lock = Lock()
        self._idle = list(self._requests)
        self._waiting: deque[SimpleQueue[openvino.InferRequest | None]] = deque()
        self._has_ended = False

    def take(self) -> openvino.InferRequest | None:
        """Takes a request, as soon as one is idle and earlier calls have theirs; ``None`` once their use has ended.

        A queue of idle requests would let a thread that has just given one back take it again, over and over.
        """
        with self._lock:
            if self._has_ended:
                return None
            if self._idle:
                return self._idle.pop()
            handed = SimpleQueue[openvino.InferRequest | None]()
            self._waiting.append(handed)
        return handed.get()

    def give_back(self, request: openvino.InferRequest) -> None:
        """Hands a request to the call that has waited longest, or leaves it idle."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().put(request)
            else:
                self._idle.append(request)

    def end(self) -> None:
        """Ends their use, and lets go of the calls that wait for one. Those in use need not be given back."""
        with self._lock:
            self._has_ended = True
            for handed in self._waiting:
                handed.put(None)
            self._waiting.clear()

    def have_failed(self) -> bool:
        """Returns whether one of them has failed, even if the thread that waits for it does not know yet."""
        return self.failed.is_set() or any(map(_has_failed, self._requests))


def _has_failed(request: openvino.InferRequest) -> bool:
    try:
        request.wait_for(0)
    except RuntimeError:
        return True
    return False
