"""A cache of answers, so that equal rows need not be computed again."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import fields, is_dataclass
from threading import Lock
from typing import Any

import numpy as np

from inferox.engine.request import RowKey
from inferox.engine.shift import Shift
from inferox.tasks.labels import LabelScore, Span

_ENTRY_BYTES = 400
"""The approximate size of an entry besides its answer: the key, and its table slots."""

_CONSTANT = (str, int, float, LabelScore, Span)
"""The types of answers, or of their parts, that no caller can change."""


class AnswerCache:
    """An LRU cache of answers by the key of their rows.

    Args:
        size_bytes: The most memory of all answers; 0 disables the cache.
    """

    def __init__(self, size_bytes: int) -> None:
        self._limit_bytes = size_bytes
        self._lock = Lock()
        self._kept: OrderedDict[RowKey, tuple[Any, Shift, int]] = OrderedDict()
        self._size_bytes = 0

    @property
    def is_on(self) -> bool:
        """True if answers are cached."""
        return self._limit_bytes > 0

    @property
    def size_bytes(self) -> int:
        """The memory of the cached answers."""
        return self._size_bytes

    def find(self, key: RowKey, shift: Shift) -> tuple[Any] | None:
        """Finds the answer to rows of a key.

        Args:
            key: The key.
            shift: The shift in which it must have been computed.

        Returns:
            The answer, in a tuple; ``None`` if it is not cached.
        """
        with self._lock:
            known = self._kept.get(key)
            if known is None or known[1] is not shift:
                return None
            self._kept.move_to_end(key)
        return own_answer(known[0])

    def keep(self, key: RowKey, answer: Any, shift: Shift) -> None:
        """Caches an answer, unless it takes too much memory, or cannot be copied.

        Args:
            key: The key of the rows that it answers.
            answer: The answer.
            shift: The shift in which it was computed.
        """
        size_bytes = _ENTRY_BYTES + _count_bytes(answer)
        if size_bytes > self._limit_bytes:
            return
        if (owned := own_answer(answer)) is None:
            return
        with self._lock:
            self._size_bytes += size_bytes - self._kept.pop(key, (None, None, 0))[2]
            self._kept[key] = owned[0], shift, size_bytes
            while self._size_bytes > self._limit_bytes:
                self._size_bytes -= self._kept.popitem(last=False)[1][2]


def own_answer(answer: Any) -> tuple[Any] | None:
    """Returns an answer that nobody else has: copied if a caller could change it, or if it is a view of a whole batch.

    Args:
        answer: The answer to a row.

    Returns:
        The answer, in a tuple; ``None`` if it cannot be copied.
    """
    parts = answer if isinstance(answer, tuple) else (answer,)
    if all(isinstance(part, _CONSTANT) for part in parts):
        return (answer,)
    try:
        return (deepcopy(answer),)
    except Exception:  # noqa: BLE001 - whatever the class of an answer, or a lack of memory, raises
        return None


def _count_bytes(answer: Any) -> int:
    """Estimates the memory of an answer."""
    if isinstance(answer, np.ndarray):
        return int(answer.nbytes) + sys.getsizeof(answer)
    if is_dataclass(answer) and not isinstance(answer, type):
        return 64 + sum(_count_bytes(getattr(answer, field.name)) for field in fields(answer))
    size_bytes = sys.getsizeof(answer)
    if isinstance(answer, Mapping):
        return size_bytes + sum(_count_bytes(part) for item in answer.items() for part in item)
    if isinstance(answer, list | tuple):
        return size_bytes + sum(map(_count_bytes, answer))
    return size_bytes
