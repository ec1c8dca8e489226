"""Concurrent computations of a graph, which is compiled anew after each failure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Lock
from typing import Any

import numpy.typing as npt
import openvino

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
    """

    def __init__(
        self,
        compile_for: Callable[[int], openvino.CompiledModel],
        count: int,
        first: openvino.CompiledModel | None = None,
    ) -> None:
        self._compile_for, self._count = compile_for, count
        self._current = None if first is None else _Requests(first, count)
        self._compiling = Lock()

    def release(self) -> None:
        """Releases the compilation, which is compiled anew if it is needed again."""
        self._current = None

    def compute(self, infer: Callable[[openvino.InferRequest], Arrays], *, waits: bool) -> Arrays | None:
        """Computes a call as soon as a request is idle.

        Args:
            infer: Computes it with a request, and returns its outputs.
            waits: Whether to wait while another thread compiles.

        Returns:
            The outputs; ``None`` if the call must be computed elsewhere: another call has failed here, or another
            thread compiles.

        Raises:
            Exception: Whatever ``infer`` raises, once the next compilation is ready; or what compiling raises.
        """
        requests = self._get(waits=waits)
        if requests is None:
            return None
        request = requests.take()
        try:
            outputs = None if requests.failed.is_set() else infer(request)
        except BaseException:
            # With the lock held before anybody can know of the failure, no other thread compiles in place of this one.
            with self._compiling:
                requests.failed.set()
                requests.give_back(request)
                if self._current is requests:
                    self._current = None
                    self._current = self._compile()
            raise
        # A call that failed beside it may have left its numbers where this one's belong.
        is_lost = requests.have_failed()
        requests.give_back(request)
        return None if is_lost else outputs

    def _compile(self) -> _Requests:
        return _Requests(self._compile_for(self._count), self._count)

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
        self._waiting: deque[SimpleQueue[openvino.InferRequest]] = deque()

    def take(self) -> openvino.InferRequest:
        """Takes a request, as soon as one is idle and earlier calls have theirs.

        A queue of idle requests would let a thread that has just given one back take it again, over and over.
        """
        with self._lock:
            if self._idle:
                return self._idle.pop()
            handed = SimpleQueue[openvino.InferRequest]()
            self._waiting.append(handed)
        try:
            return handed.get()
        except BaseException:  # Ctrl-C
            with self._lock:
                was_handed = handed not in self._waiting
                if not was_handed:
                    self._waiting.remove(handed)
            if was_handed:
                self.give_back(handed.get())
            raise

    def give_back(self, request: openvino.InferRequest) -> None:
        """Hands a request to the call that has waited longest, or leaves it idle."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().put(request)
            else:
                self._idle.append(request)

    def have_failed(self) -> bool:
        """Returns whether one of them has failed, even if the thread that waits for it does not know yet."""
        return self.failed.is_set() or any(map(_has_failed, self._requests))


def _has_failed(request: openvino.InferRequest) -> bool:
    try:
        request.wait_for(0)
    except RuntimeError:
        return True
    return False
