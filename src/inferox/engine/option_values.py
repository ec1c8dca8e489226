"""The values of a request's options, as callers give them and as worker processes read them."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from inferox.core import RequestError, shown
from inferox.core.seconds import read_seconds

MOST_PRIORITY = 2**31 - 1
"""The largest priority, which every clock can count down from."""


def read_deadline(value: Any) -> float:
    """Converts a deadline to a Python ``float``; NumPy's numbers are accepted as well.

    Args:
        value: The caller's value, in seconds.

    Raises:
        RequestError: If it is not a positive number of seconds, or too large for a timer.
    """
    if (deadline_s := read_seconds(value)) is None:
        raise RequestError(f"a deadline must be a positive number of seconds, up to a year, but is {shown(value)}")
    return deadline_s


def read_priority(value: Any) -> int:
    """Converts a priority to a Python ``int``; NumPy's integers are accepted as well.

    Args:
        value: The caller's value.

    Raises:
        RequestError: If it is not an integer of 32 bits.
    """
    is_integer = type(value) is int or (isinstance(value, Integral) and value is not True and value is not False)
    if is_integer and abs(int(value)) <= MOST_PRIORITY:
        return int(value)
    raise RequestError(f"a priority must be an integer of 32 bits, but is {shown(value)}")


def read_flag(name: str, value: Any) -> bool:
    """Converts a yes or no to a Python ``bool``; NumPy's are accepted as well.

    Args:
        name: The name of the option, for the error.
        value: The caller's value.

    Raises:
        RequestError: If it is something else.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise RequestError(f"{name} must be True or False, but is {shown(value)}")


def check_texts_of_options(owner: object, prompt: object, request_id: object, artifact: object) -> None:
    """Checks that the options that are texts, if they are stated, are texts.

    Raises:
        RequestError: If one is not.
    """
    for value, rule in (
        (owner, "an owner must be a string"),
        (prompt, "a prompt must be given by its name"),
        (request_id, "a request_id must be a string"),
        (artifact, "an artifact must be given by its name"),
    ):
        if value is not None and not isinstance(value, str):
            raise RequestError(f"{rule}, but is {shown(value)}")
