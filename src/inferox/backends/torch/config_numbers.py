"""The numbers of a config that exceed any count of layers or labels, and their replacement by smaller ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

LARGEST_COUNT = 1 << 18
"""The largest number that is accepted as a count: a list of as many names is made quickly, and models have fewer."""

RAISED_BY = 57_600
"""The amount by which a number is raised to see whether anything grows with it; it preserves the usual divisors."""

_FEW = 16
"""The number of values that may each be as large as a count."""

_LARGEST_SUM = 1 << 18
"""The largest sum of the numbers in lists, such as the depths of stages, which add up."""

_SMALLEST_LIMIT = 1 << 6

_SHOWN = 3
"""The number of values that a message names."""


class LargeNumbers:
    """The numbers of a config that would cause much work if they were counts.

    Such numbers are usually not counts: an index of a token, a base of rotations, a number of positions without a
    table. Replacing them with smaller ones reveals whether they are.

    Args:
        config: The model's ``config.json``.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        in_lists = [abs(number) for path, number in _numbers(config) if path.endswith("]")]
        self._limit_in_lists = LARGEST_COUNT
        if sum(in_lists) > _LARGEST_SUM and len(in_lists) > _FEW:
            self._limit_in_lists = max(_SMALLEST_LIMIT, _LARGEST_SUM // len(in_lists))
        self._config = config
        self._found = {path: number for path, number in _numbers(config) if abs(number) > self._limit(path)}

    def __bool__(self) -> bool:
        return bool(self._found)

    def __str__(self) -> str:
        """Formats the largest numbers with their keys, for messages."""
        stated = self._found or dict(_numbers(self._config))
        largest = sorted(stated.items(), key=lambda item: -abs(item[1]))[:_SHOWN]
        return ", ".join(f"{path} = {number:,}" for path, number in largest)

    def made_smaller(self, *, raised: bool = False) -> dict[str, Any]:
        """Returns the config with smaller numbers in their place, in the same order and of the same types.

        Args:
            raised: Whether to raise each of them, by ``RAISED_BY`` if the number exceeds any count.
        """
        ranks = {number: rank for rank, number in enumerate(sorted(set(self._found.values())))}

        def shrink(value: Any, path: str) -> Any:
            if isinstance(value, Mapping):
                return {key: shrink(item, _join(path, key)) for key, item in value.items()}
            if isinstance(value, list):
                return [shrink(item, f"{path}[{index}]") for index, item in enumerate(value)]
            if path in self._found:
                smaller = self._smaller(path, rank=ranks[value], few=len(ranks) <= _FEW)
                return type(value)(math.copysign(smaller + raised * self._step(path), value))
            return value

        return {key: shrink(item, key) for key, item in self._config.items()}

    def _limit(self, path: str) -> int:
        return self._limit_in_lists if path.endswith("]") else LARGEST_COUNT

    def _smaller(self, path: str, *, rank: int, few: bool) -> int:
        limit, number = self._limit(path), int(abs(self._found[path]))
        if not few or number <= LARGEST_COUNT:
            return limit + rank
        # Classes check that numbers divide each other, and that one is less than another.
        return limit + (number - limit) % RAISED_BY + rank * RAISED_BY

    def _step(self, path: str) -> int:
        return RAISED_BY if abs(self._found[path]) > LARGEST_COUNT else max(1, self._limit(path) // 4)


def count_entries(value: Any) -> int:
    """Counts the entries of JSON values, or of attributes with such values, in all lists and objects together.

    Args:
        value: A JSON value, or an object such as a config.
    """
    entries, open_values, seen = 0, [value], set()
    while open_values:
        current = open_values.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, Mapping):
            inner = list(current.values())
        elif isinstance(current, list | tuple | set | frozenset | range):
            inner = [] if isinstance(current, range) else list(current)
            entries += len(current) if isinstance(current, range) else 0
        elif isinstance(current, str | bytes):
            # A text is as long as in the config, unless it was made from a number.
            entries += len(current) // 64
            continue
        else:
            inner = list(getattr(current, "__dict__", {}).values())
        entries += len(inner)
        open_values += inner
    return entries


def _numbers(value: Any, path: str = "") -> Iterator[tuple[str, int | float]]:
    """Yields the finite numbers of a JSON value, each with the keys that lead to it."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, _join(path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _numbers(item, f"{path}[{index}]")
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        yield path, value


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)
