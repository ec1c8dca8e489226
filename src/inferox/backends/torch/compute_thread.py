"""The thread on which PyTorch computes a model."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

_Result = TypeVar("_Result")


class ComputeThread:
    """A thread that loads and computes one model on the CPU, whichever thread calls it.

    OpenMP gives each thread that computes a team of its own, and PyTorch reads the number of threads once for each
    team. With as many teams as callers, GNU's OpenMP counts more threads than processors and puts them to sleep after
    every operator: 8 callers computed 28% fewer texts than one did. On one thread, a model has one team, of the size
    with which it was loaded.

    Args:
        name: The name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._start()

    def run(self, function: Callable[[], _Result]) -> _Result:
        """Calls a function on the thread, with the caller's context, and waits for it.

        Once the thread is closed, or if the system starts no more threads, the caller's own thread calls it.

        Args:
            function: The function; it must not call ``run`` of the same thread.

        Returns:
            The function's result; whatever it raises is raised unchanged.
        """
        if self._process != os.getpid():  # a fork only copies the thread that forked
            self._start()
        try:
            future = self._executor.submit(copy_context().run, function)
        except RuntimeError:
            return function()
        return future.result()

    def close(self) -> None:
        """Ends the thread after the calls in progress, without waiting for them. Closing twice does nothing."""
        self._executor.shutdown(wait=False)

    def _start(self) -> None:
        self._process = os.getpid()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=self._name)
