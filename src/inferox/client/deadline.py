"""Until when an answer is wanted."""

from __future__ import annotations

import math
import time

from inferox.core import ConfigError


class Deadline:
    """A time on the monotonic clock.

    Args:
        timeout_s: How far away it is, in seconds.
        outer: Another that may be earlier, which then counts; ``None`` for none.
    """

    def __init__(self, timeout_s: float, outer: Deadline | None = None) -> None:
        left_s = timeout_s if outer is None else min(timeout_s, outer.left_s)
        self._at_s = time.monotonic() + left_s

    @property
    def left_s(self) -> float:
        """The seconds that are left; 0 or less once it has passed."""
        return self._at_s - time.monotonic()


def check_seconds(name: str, value: object) -> None:
    """Refuses what is not a time that can be waited for.

    Args:
        name: What a caller calls it, for the error.
        value: What the caller gives.

    Raises:
        ConfigError: If it is not a positive, finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigError(f"{name} must be a positive number of seconds, but is {value!r}")


def read_deadline(deadline_s: float | None) -> Deadline | None:
    """The deadline that a caller gives.

    Args:
        deadline_s: After how many seconds an answer is of no use; ``None`` for no deadline.

    Raises:
        ConfigError: If it is not a positive, finite number.
    """
    if deadline_s is None:
        return None
    check_seconds("deadline_s", deadline_s)
    return Deadline(deadline_s)
