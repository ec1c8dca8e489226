"""Lines written by a thread: whoever reads them slowly, or not at all, must not hold up answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import BinaryIO

_MOST_LINES = 10_000
"""How many lines may wait to be written; those that come meanwhile are left out and counted."""

_CLOSE_S = 2.0
"""How long the last lines may take at the end."""


class LogWriter:
    """Writes lines in their order. Several threads may use it.

    Args:
        stream: Where they go.
        describe_loss: Makes the line that says how many lines were left out.
        most_lines: How many may wait.
    """

    def __init__(
        self, stream: BinaryIO, describe_loss: Callable[[int], bytes], *, most_lines: int = _MOST_LINES
    ) -> None:
        self._stream = stream
        self._describe_loss = describe_loss
        self._most_lines = most_lines
        self._condition = Condition()
        self._lines: deque[bytes] = deque()
        self._lost = 0
        self._is_closed = False
        self._thread = Thread(target=self._run, name="inferox-log", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Has a line written, and waits for nothing.

        Args:
            line: The line, without its end.
        """
        with self._condition:
            if len(self._lines) >= self._most_lines:
                self._lost += 1
                return
            if self._lost:
                self._lines.append(self._describe_loss(self._lost))
                self._lost = 0
            self._lines.append(line)
            self._condition.notify()

    def close(self) -> None:
        """Writes what is left, as long as somebody reads it."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while (lines := self._take()) is not None:
            try:
                self._stream.write(b"".join(line + b"\n" for line in lines))
                self._stream.flush()
            except (OSError, ValueError):  # nobody reads it any more
                continue

    def _take(self) -> list[bytes] | None:
        """What waits, as soon as something does; ``None`` at the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._lines or self._lost or self._is_closed)
            lines = list(self._lines)
            self._lines.clear()
            if self._lost:
                lines.append(self._describe_loss(self._lost))
                self._lost = 0
            return lines or None
