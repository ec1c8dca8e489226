"""Log lines written by a thread of their own, so that a slow or absent reader does not hold up responses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import BinaryIO

_MOST_LINES = 10_000
"""The number of lines that may wait to be written; further ones are dropped and counted."""

_CLOSE_S = 2.0
"""The time the last lines may take when the writer is closed."""


class LogWriter:
    """Writes lines in order. May be used from several threads.

    Args:
        stream: The stream to write to.
        describe_loss: Makes the line that reports the number of dropped lines.
        most_lines: The number of lines that may wait.
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
        """Queues a line for writing, without blocking.

        Args:
            line: The line, without a line break.
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
        """Writes the remaining lines, as long as somebody reads them."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while (lines := self._take()) is not None:
            try:
                self._stream.write(b"".join(line + b"\n" for line in lines))
                self._stream.flush()
            except (OSError, ValueError):  # the reader is gone
                continue

    def _take(self) -> list[bytes] | None:
        """Waits for lines, and returns them; ``None`` at the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._lines or self._lost or self._is_closed)
            lines = list(self._lines)
            self._lines.clear()
            if self._lost:
                lines.append(self._describe_loss(self._lost))
                self._lost = 0
            return lines or None
