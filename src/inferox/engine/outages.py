"""The record of artifacts that failed and are out of service for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from threading import Lock

_LONGEST = 64
"""The longest time that an artifact is out of service, as a multiple of the first."""


@dataclass(frozen=True)
class _Outage:
    """A period during which an artifact is not tried, because it failed.

    Attributes:
        reason: The last failure.
        wait_s: The length of the period in seconds.
        until_s: The time at which it is tried again.
    """

    reason: str
    wait_s: float
    until_s: float


class Outages:
    """Artifacts that failed and are out of service for a while: for twice as long if they soon fail again.

    Thread-safe.

    Args:
        wait_s: The seconds for which they are out of service at first.
        clock: The clock, in seconds.
    """

    def __init__(self, wait_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._wait_s = wait_s
        self._clock = clock
        self._lock = Lock()
        self._last: dict[str, _Outage] = {}
        self._is_out: set[str] = set()

    def begin(self, name: str, reason: str, *, is_final: bool = False) -> None:
        """Records that an artifact failed.

        Args:
            name: Its name.
            reason: The failure.
            is_final: Whether it must not be tried again.
        """
        with self._lock:
            known, now_s = self._last.get(name), self._clock()
            is_soon = known is not None and now_s < known.until_s + known.wait_s
            wait_s = min(2 * known.wait_s, self._wait_s * _LONGEST) if known and is_soon else self._wait_s
            until_s = inf if is_final else now_s + wait_s
            self._last[name] = _Outage(reason, wait_s, until_s)
            self._is_out.add(name)

    def expect(self, name: str) -> None:
        """Records that an artifact is not available yet, and may be tried at once.

        Args:
            name: Its name.
        """
        with self._lock:
            self._last[name] = _Outage("it is not loaded yet", 0.0, -inf)
            self._is_out.add(name)

    def end(self, name: str) -> None:
        """Records that an artifact works.

        Args:
            name: Its name.
        """
        with self._lock:
            self._is_out.discard(name)

    def left_s(self, name: str) -> float:
        """Returns the seconds for which an artifact stays out of service; 0 if it may be tried.

        Args:
            name: Its name.
        """
        with self._lock:
            return max(0.0, self._last[name].until_s - self._clock()) if name in self._is_out else 0.0

    def next_due(self, names: Iterable[str]) -> tuple[str, float] | None:
        """Returns the artifact to try next, and in how many seconds; ``None`` if there is none.

        Args:
            names: Their names.
        """
        left_s = {name: self.left_s(name) for name in self.among(names)}
        due = min(left_s, key=left_s.__getitem__, default=None)
        return None if due is None or left_s[due] == inf else (due, left_s[due])

    def among(self, names: Iterable[str]) -> dict[str, str]:
        """Returns those artifacts that are out of service, with the reasons.

        Args:
            names: Their names.
        """
        with self._lock:
            return {name: self._last[name].reason for name in names if name in self._is_out}
