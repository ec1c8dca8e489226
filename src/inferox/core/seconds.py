"""Times that callers state."""

from __future__ import annotations

from numbers import Real
from typing import Any

from inferox.core.errors import ConfigError
from inferox.core.shown_text import shown

LONGEST_S = 365 * 24 * 3600.0
"""The longest time that a setting, a deadline or a timeout may state: every timer can handle a year, and each half of a
connection takes what the other may ask for."""


def read_seconds(value: Any) -> float | None:
    """Reads a time as a Python ``float``, which can be sent to other processes; NumPy's numbers are accepted.

    Args:
        value: The caller's value, in seconds.

    Returns:
        The time; ``None`` if the value is not a positive number, or more than ``LONGEST_S``.
    """
    is_number = type(value) is float or (isinstance(value, Real) and not isinstance(value, bool))
    if not is_number:
        return None
    try:
        seconds = float(value)
    except OverflowError:  # of an integer
        return None
    return seconds if 0 < seconds <= LONGEST_S else None


def positive_seconds(what: str, value: Any) -> float:
    """Reads a time like ``read_seconds``, and refuses what is not one.

    Args:
        what: The name of the setting, for the error.
        value: The caller's value, in seconds.

    Raises:
        ConfigError: If it is not a positive number, or more than ``LONGEST_S``.
    """
    if (seconds := read_seconds(value)) is None:
        raise ConfigError(f"{what} must be a positive number of seconds, up to a year, but is {shown(value)}")
    return seconds
