"""Conversion of results to JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def to_json(result: Any) -> Any:
    """Converts a task's result to JSON values.

    Args:
        result: A task's result: an array, a number, a dataclass such as ``LabelScore``, or tuples, lists and mappings
            of them.

    Returns:
        The same as lists, numbers, strings and dicts; an array as nested lists.
    """
    if isinstance(result, np.ndarray | np.generic):
        return result.tolist()
    if is_dataclass(result) and not isinstance(result, type):
        return {item.name: to_json(getattr(result, item.name)) for item in fields(result)}
    if isinstance(result, Mapping):
        return {name: to_json(value) for name, value in result.items()}
    if isinstance(result, tuple | list):
        return [to_json(value) for value in result]
    return result
