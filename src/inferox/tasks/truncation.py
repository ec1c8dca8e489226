"""Truncation of texts that are longer than a model takes: the tokens that were cut off, and how that is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from inferox.core import Batch, ConfigError, InputTooLongError, TruncationWarning, counted, shown, warn_user

CUT_TOKENS = "cut_tokens"
"""The array of a batch with the number of tokens cut off each row's text; shape ``[rows]``, int64."""

MORE_CUT = "more_cut"
"""The array of a batch that marks rows that lost more tokens than ``cut_tokens`` counts, because a long text was not
tokenised completely; shape ``[rows]``, bool."""

Truncation = Literal["error", "warn", "cut"]
"""The treatment of texts that are too long: refuse them, cut them with a warning, or cut them silently."""

TRUNCATIONS: tuple[str, ...] = get_args(Truncation)


@dataclass(frozen=True)
class CutTokens:
    """The tokens that were cut off a text.

    Attributes:
        count: The number of tokens; 0 for a text that was not cut.
        is_least: Whether ``count`` is a lower bound, because further tokens were not counted.
    """

    count: int = 0
    is_least: bool = False


def read_cut_tokens(batch: Batch, rows: range | None = None) -> list[CutTokens]:
    """Reads the number of tokens that were cut off each row's text.

    Args:
        batch: The result of a task's ``encode``.
        rows: The rows to read; ``None`` for all.
    """
    some = range(batch.row_count) if rows is None else rows
    if CUT_TOKENS not in batch.dense:
        return [CutTokens()] * len(some)
    counts, more = (batch.dense[name][some.start : some.stop] for name in (CUT_TOKENS, MORE_CUT))
    return list(map(CutTokens, counts.tolist(), more.tolist()))


def find_truncated(batch: Batch) -> npt.NDArray[np.bool_]:
    """Returns whether the text of each row was cut; shape ``[rows]``, bool.

    Args:
        batch: The result of a task's ``encode``.
    """
    if CUT_TOKENS not in batch.dense:
        return np.zeros(batch.row_count, np.bool_)
    truncated: npt.NDArray[np.bool_] = batch.dense[CUT_TOKENS] > 0
    return truncated


def report_truncation(batch: Batch, truncate: str, *, rows: range | None = None) -> None:
    """Warns about texts that were cut, or refuses them.

    Args:
        batch: The result of a task's ``encode``.
        truncate: ``error``, ``warn`` or ``cut``.
        rows: The rows to report; ``None`` for all.

    Raises:
        ConfigError: If ``truncate`` is something else.
        InputTooLongError: If a text was cut and ``truncate`` is ``error``; it names the first.
    """
    check_truncation(truncate)
    if truncate == "cut" or CUT_TOKENS not in batch.dense:
        return
    some = range(batch.row_count) if rows is None else rows
    cut = batch.dense[CUT_TOKENS][some.start : some.stop] > 0
    if not cut.any():
        return
    found = read_cut_tokens(batch, some)
    if truncate == "error":
        index = int(cut.argmax())
        tokens, kept = found[index], int(batch.lengths[some.start + index])
        unit = "tokens or more" if tokens.is_least else "tokens"
        error = InputTooLongError(f"text {index}", length=kept + tokens.count, limit=kept, unit=unit)
        raise error.naming_item(index, "text {}")
    warn_of_cut(found)


def check_truncation(truncate: object) -> None:
    """Checks that a value is a valid ``truncate`` option.

    Args:
        truncate: The caller's value.

    Raises:
        ConfigError: If it is not one of ``TRUNCATIONS``.
    """
    if not isinstance(truncate, str) or truncate not in TRUNCATIONS:
        raise ConfigError(f"truncate must be one of {', '.join(TRUNCATIONS)}, but is {shown(truncate)}")


class CutTotals:
    """The tokens cut off the texts of a call, counted over all its parts."""

    def __init__(self) -> None:
        self._total = self._cut = self._most = 0
        self._is_least = False

    def add(self, tokens: Sequence[CutTokens]) -> None:
        """Counts more texts.

        Args:
            tokens: The tokens cut off each text, including texts that were not cut.
        """
        self._total += len(tokens)
        for item in tokens:
            if item.count:
                self._cut += 1
                self._most = max(self._most, item.count)
                self._is_least |= item.is_least

    def __bool__(self) -> bool:
        """Returns whether a text was cut."""
        return self._cut > 0

    def __str__(self) -> str:
        """Describes what was cut in one sentence."""
        most = counted(self._most, "token")
        extent = f"by {most} or more" if self._is_least else f"by up to {most}"
        texts, (are, were) = (
            "text" if self._total == 1 else "texts",
            ("is", "was") if self._cut == 1 else ("are", "were"),
        )
        return f"{self._cut} of {self._total} {texts} {are} longer than the model takes and {were} cut, {extent}"

    def warn(self) -> None:
        """Warns about the texts that were cut, if there are any."""
        if self:
            warn_user(TruncationWarning(str(self), cut=self._cut, total=self._total))


def warn_of_cut(tokens: Sequence[CutTokens]) -> None:
    """Warns about the texts of a call that were cut, if there are any.

    Args:
        tokens: The tokens cut off each text, including texts that were not cut.
    """
    totals = CutTotals()
    totals.add(tokens)
    totals.warn()


class StreamTruncation:
    """The warning of a stream whose texts are cut: a single one, at its end, with the totals.

    A context manager around the stream. A consumer that stops reading is warned of what was computed until then; an
    error ends the stream without a warning.

    Args:
        truncate: ``error``, ``warn`` or ``cut``.
    """

    def __init__(self, truncate: str) -> None:
        self._warns = truncate == "warn"
        self._totals = CutTotals()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or kind is GeneratorExit:
            self._totals.warn()

    def add(self, tokens: Sequence[CutTokens]) -> None:
        """Counts more texts of the stream; see ``CutTotals.add``."""
        if self._warns:
            self._totals.add(tokens)
