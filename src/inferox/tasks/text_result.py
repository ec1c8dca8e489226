"""The result for one text, with whether the text was cut."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self, TypeVar

PartType = TypeVar("PartType")


class TextResult(tuple[PartType, ...]):
    """The labels or the spans of one text: a tuple that also tells whether the text was cut.

    It is equal to a plain tuple of the same parts.

    Args:
        parts: The labels or spans.
        truncated: Whether the text was longer than the model takes, so that its end (or its start) was not read;
            ``None`` if a server does not say.

    Attributes:
        truncated: The same.
    """

    truncated: bool | None

    def __new__(cls, parts: Iterable[PartType], truncated: bool | None) -> Self:  # noqa: D102 - the class says it
        result = super().__new__(cls, parts)
        result.truncated = truncated
        return result

    def __getnewargs__(self) -> Any:
        return tuple(self), self.truncated


def with_truncation(results: Iterable[Iterable[PartType]], truncated: Iterable[Any]) -> list[TextResult[PartType]]:
    """Combines the results of texts with whether each text was cut.

    Args:
        results: The parts of each result.
        truncated: Whether each text was cut; ``None`` if that is not known.
    """
    flags = (None if cut is None else bool(cut) for cut in truncated)
    return [TextResult(parts, flag) for parts, flag in zip(results, flags, strict=True)]
