"""The event loop for callers without one."""

from __future__ import annotations

import asyncio
import threading

import pytest

from inferox.client.event_loop import LoopThread
from inferox.core import ConfigError


def test_who_waits_while_it_is_closed_is_told() -> None:
    thread, begun = LoopThread(), threading.Event()
    failures: list[ConfigError] = []

    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    def ask() -> None:
        with pytest.raises(ConfigError, match="was closed before the answer came") as caught:
            thread.run(wait())
        failures.append(caught.value)

    waiting = threading.Thread(target=ask)
    waiting.start()
    assert begun.wait(timeout=60)
    thread.close()
    waiting.join(timeout=60)

    assert len(failures) == 1
    with pytest.raises(ConfigError, match="this client is closed"):
        thread.run(wait())
    thread.close()
