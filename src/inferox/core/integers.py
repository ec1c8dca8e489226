"""Numbers that callers give as options."""

from __future__ import annotations

import operator
import sys
from typing import Any

import numpy as np

from inferox.core.errors import ConfigError
from inferox.core.shown_text import shown


def positive_integer(what: str, value: Any) -> int:
    """Converts a positive integer of Python or NumPy to a Python ``int``.

    Args:
        what: The name of the number in an error.
        value: The caller's value. ``True`` and 8.0 are not integers.

    Raises:
        ConfigError: If it is not a positive integer, or no list could have as many items.
    """
    if not isinstance(value, bool | np.bool_):
        try:
            number = operator.index(value)
        except TypeError:
            pass
        else:
            if number > sys.maxsize:
                raise ConfigError(f"{what} may be at most {sys.maxsize:,}, but is {shown(value)}")
            if number > 0:
                return number
    raise ConfigError(f"{what} must be a positive integer, but is {shown(value)}")
