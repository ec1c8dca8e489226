"""A model, and a user's state from call to call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from inferox.core import Closing
from inferox.engine.answer import Answer
from inferox.engine.asking import aask_and_wait, ask_and_wait
from inferox.engine.baton import Baton
from inferox.engine.request import RequestOptions
from inferox.engine.served_model import ServedModel

State = TypeVar("State")


class InferenceSession(Closing, Generic[State]):
    """A version of a model in an engine, and a state of the user's from call to call; ``Engine.session`` opens it.

    Several threads and coroutines may use one. Their requests do not wait for each other; ``turn`` and ``aturn`` give
    the state to one of them at a time. All answers are of the version that it was opened with, and so of one embedding
    space. It is a context manager that closes itself, and the state with it.

    Args:
        model: The version.
        state: The state.
        owner: On whose behalf its requests are made.
        on_close: What is called with the session when it is closed.

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
        return ask_and_wait(self._find, items, RequestOptions(deadline_s, priority, self._owner, prompt, truncate))

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
        return await aask_and_wait(
            self._find, items, RequestOptions(deadline_s, priority, self._owner, prompt, truncate)
        )

    @contextmanager
    def turn(self) -> Iterator[State]:
        """Gives the state to the block alone; others who ask for it wait until it ends, and come in their order.

        Yields:
            The state.

        Raises:
            ConfigError: If this thread has it already, or if waiting would stop the coroutines of this thread.
            ShuttingDownError: If the session is closed.
        """
        self._baton.take()
        try:
            yield self._states[0]
        finally:
            self._baton.pass_on()

    @asynccontextmanager
    async def aturn(self) -> AsyncIterator[State]:
        """Gives the state to a block of a coroutine alone; see ``turn``."""
        await self._baton.atake()
        try:
            yield self._states[0]
        finally:
            self._baton.pass_on()

    def close(self) -> None:
        """Takes no more requests and turns, and releases the state; closing twice does nothing.

        Where the state has a method ``close``, that is called: at once, or at the end of the turn that is under way,
        which this does not wait for. Requests that were made are answered.
        """
        self._on_close(self)
        self._baton.close()

    def _find(self) -> ServedModel:
        # A session is closed before its version is, so that this ends the asking of a version that is closed.
        self._baton.refuse_if_closed()
        return self.model

    def _release(self) -> None:
        state = self._states.pop()
        if isinstance(state, _HasClose):
            state.close()


@runtime_checkable
class _HasClose(Protocol):
    def close(self) -> object: ...
