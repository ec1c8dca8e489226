"""Deadlines of requests."""

from __future__ import annotations

import time

from inferox.core.seconds import positive_seconds


class Deadline:
    """A point in time on the monotonic clock.

    Args:
        timeout_s: The time until the deadline, in seconds.
        outer: Another deadline, which applies if it is earlier; ``None`` for none.
    """

    def __init__(self, timeout_s: float, outer: Deadline | None = None) -> None:
        left_s = timeout_s if outer is None else min(timeout_s, outer.left_s)
        self._at_s = time.monotonic() + left_s

    @property
    def left_s(self) -> float:
        """The time left, in seconds; 0 or less once the deadline has passed."""
        return self._at_s - time.monotonic()


def read_deadline(deadline_s: float | None) -> Deadline | None:
    """Makes the deadline of a call.

    Args:
        deadline_s: The time until the deadline, in seconds; ``None`` for no deadline.

    Raises:
        ConfigError: If that is not a positive number, or more than a year.
    """
    return None if deadline_s is None else Deadline(positive_seconds("deadline_s", deadline_s))
