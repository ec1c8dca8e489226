"""Sessions: a model with a user's state from call to call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from inferox.core import Closing
from inferox.engine.answer import Answer
from inferox.engine.asking import aask_and_wait, ask_and_wait
from inferox.engine.baton import Baton
from inferox.engine.own_process import OwnProcess
from inferox.engine.request import RequestOptions
from inferox.engine.served_model import ServedModel

State = TypeVar("State")


class InferenceSession(Closing, Generic[State]):
    """A version of a model in an engine, with a user's state from call to call; ``Engine.session`` opens it.

    Several threads and coroutines may share one. Their requests do not wait for each other; ``turn`` and ``aturn`` give
    the state to one of them at a time. All answers come from the version with which it was opened, and so share one
    embedding space. It is a context manager that closes itself, and the state with it.

    Args:
        model: The version.
        state: The state.
        owner: The owner of its requests.
        on_close: Called with the session when it is closed.

    Attributes:
        model: The version.
    """

    def __init__(
        self,
        model: ServedModel,
        state: State,
        *,
        owner: str | None,
        on_close: Callable[[InferenceSession[State]], None],
    ) -> None:
        self.model = model
        self._states = [state]  # empty once it is released
        self._owner = owner
        self._on_close = on_close
        self._baton = Baton(self._release)
        self._process = OwnProcess()

    def infer(
        self,
        items: Sequence[Any],
        *,
        prompt: str | None = None,
        truncate: str = "warn",
        deadline_s: float | None = None,
        priority: int = 0,
    ) -> Answer:
        """Computes a request, in a turn or outside; see ``Engine.infer``.

        Raises:
            ShuttingDownError: If the session is closed.
        """
        return ask_and_wait(self._find, items, self._options(deadline_s, priority, prompt, truncate))

    async def ainfer(
        self,
        items: Sequence[Any],
        *,
        prompt: str | None = None,
        truncate: str = "warn",
        deadline_s: float | None = None,
        priority: int = 0,
    ) -> Answer:
        """Computes a request of a coroutine; see ``infer`` and ``Engine.ainfer``."""
        return await aask_and_wait(self._find, items, self._options(deadline_s, priority, prompt, truncate))

    @contextmanager
    def turn(self) -> Iterator[State]:
        """Gives the block exclusive use of the state; others wait until it ends, in the order of arrival.

        Yields:
            The state.

        Raises:
            ConfigError: If this thread has it already, or if waiting would block the event loop of this thread.
            ShuttingDownError: If the session is closed.
        """
        self._baton.take()
        try:
            yield self._states[0]
        finally:
            self._baton.pass_on()

    @asynccontextmanager
    async def aturn(self) -> AsyncIterator[State]:
        """Gives a coroutine's block exclusive use of the state; see ``turn``."""
        await self._baton.atake()
        try:
            yield self._states[0]
        finally:
            self._baton.pass_on()

    def close(self) -> None:
        """Stops accepting requests and turns, and releases the state; closing twice does nothing.

        If the state has a method ``close``, it is called: at once, or at the end of the current turn, for which this
        does not wait. Requests already made are answered.
        """
        self._on_close(self)
        self._baton.close()

    def _options(self, deadline_s: float | None, priority: int, prompt: str | None, truncate: str) -> RequestOptions:
        return RequestOptions(deadline_s, priority, self._owner, prompt, truncate, is_one_of_many=True)

    def _find(self) -> ServedModel:
        self._process.check()
        # A session is closed before its version, so this ends requests to a closed version.
        self._baton.refuse_if_closed()
        return self.model

    def _release(self) -> None:
        state = self._states.pop()
        if isinstance(state, _HasClose):
            state.close()


@runtime_checkable
class _HasClose(Protocol):
    def close(self) -> object: ...
