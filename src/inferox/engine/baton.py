"""A fair lock for threads and coroutines."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, get_ident
from typing import Any

from inferox.core import ConfigError, ShuttingDownError


class Baton:
    """A lock for threads and coroutines that is granted in the order of arrival.

    A lock from ``threading`` would admit two coroutines of a thread, or block their loop; one from ``asyncio`` does not
    support threads.

    Args:
        on_over: Called once when the lock is closed and nobody holds it any more.
    """

    def __init__(self, on_over: Callable[[], None]) -> None:
        self._on_over = on_over
        self._lock = Lock()
        self._waiting: deque[Future[None]] = deque()
        self._is_held = False
        self._is_closed = False
        self._holder: object = None

    def take(self) -> None:
        """Acquires the lock after all earlier callers have passed it on.

        Raises:
            ConfigError: If this thread holds it, or if waiting would block the event loop of this thread.
            ShuttingDownError: If it is closed.
        """
        granted = self._ask(may_wait=_find_loop() is None)
        try:
            granted.result()
        except BaseException:
            self._give_up(granted)
            raise
        self._holder = _identify()

    async def atake(self) -> None:
        """Acquires the lock for a coroutine; see ``take``."""
        granted = self._ask(may_wait=True)
        try:
            await asyncio.wrap_future(granted)
        except BaseException:
            self._give_up(granted)
            raise
        self._holder = _identify()

    def pass_on(self) -> None:
        """Releases the lock to whoever has waited longest."""
        with self._lock:
            self._holder = None
            following = self._pop()
            self._is_held = following is not None
            is_over = self._is_closed
        if following is not None:
            following.set_result(None)
        if is_over:
            self._on_over()

    def close(self) -> None:
        """Closes the lock: everyone who waits for it now or later is refused. Closing twice does nothing."""
        with self._lock:
            is_over = not (self._is_closed or self._is_held)
            self._is_closed = True
            refused = list(iter(self._pop, None))
        for future in refused:
            future.set_exception(_make_refusal())
        if is_over:
            self._on_over()

    def refuse_if_closed(self) -> None:
        """Raises a ``ShuttingDownError`` if the lock is closed."""
        if self._is_closed:
            raise _make_refusal()

    def _ask(self, *, may_wait: bool) -> Future[None]:
        with self._lock:
            self.refuse_if_closed()
            granted: Future[None] = Future()
            if self._is_held:
                if self._holder == _identify():
                    raise ConfigError(
                        "this thread or coroutine already has the turn, and would wait for itself",
                        hint="end that turn first, or use the state that it gave",
                    )
                if not may_wait:
                    raise ConfigError(
                        "waiting for the turn would stop the coroutines of this thread",
                        hint="write 'async with session.aturn()'",
                    )
                self._waiting.append(granted)
            else:
                self._is_held = True
                granted.set_result(None)
            return granted

    def _give_up(self, granted: Future[None]) -> None:
        """Stops waiting. If the lock was granted at that very moment, it is passed on."""
        if not granted.cancel() and granted.exception() is None:
            self.pass_on()

    def _pop(self) -> Future[None] | None:
        while self._waiting:
            following = self._waiting.popleft()
            if following.set_running_or_notify_cancel():
                return following
        return None


def _make_refusal() -> ShuttingDownError:
    return ShuttingDownError(
        "the session is closed", hint="it closes with its version and with its engine, too; open another"
    )


def _find_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _identify() -> tuple[int, asyncio.Task[Any] | None]:
    return get_ident(), None if _find_loop() is None else asyncio.current_task()
