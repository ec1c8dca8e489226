"""Texts that are longer than a model takes: how many tokens were cut off, and what is done about it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal, get_args

from inferox.batching import Row
from inferox.core import ConfigError, InferoxWarning, InputTooLongError

CUT_TOKENS = "cut_tokens"
"""The array of a row with the number of tokens that were cut off its text; shape ``[]``, int64. Absent from rows that
are whole."""

Truncation = Literal["error", "warn", "cut"]
"""What is done about texts that are too long: refuse them, cut them and say so, or cut them."""

TRUNCATIONS: tuple[str, ...] = get_args(Truncation)


def count_cut_tokens(row: Row) -> int:
    """The number of tokens that were cut off the text of a row; 0 where it is whole."""
    return int(row[CUT_TOKENS]) if CUT_TOKENS in row else 0


def report_truncation(rows: Sequence[Row], truncate: str, *, stacklevel: int = 3) -> None:
    """Says or refuses what was cut.

    Args:
        rows: What a task's ``encode`` made.
        truncate: ``error``, ``warn`` or ``cut``.
        stacklevel: Which caller the warning is about; 1 is this function.

    Raises:
        ConfigError: If ``truncate`` is something else.
        InputTooLongError: If a text was cut and ``truncate`` is ``error``; it names the first.
    """
    if truncate not in TRUNCATIONS:
        raise ConfigError(f"truncate must be one of {', '.join(TRUNCATIONS)}, and is {truncate!r}")
    cut = {index: count for index, count in enumerate(map(count_cut_tokens, rows)) if count}
    if not cut or truncate == "cut":
        return
    if truncate == "error":
        index, count = next(iter(cut.items()))
        kept = len(rows[index]["input_ids"])
        raise InputTooLongError(f"text {index}", length=kept + count, limit=kept, unit="tokens")
    warnings.warn(describe_truncation(len(cut), len(rows), max(cut.values())), InferoxWarning, stacklevel=stacklevel)


def describe_truncation(cut: int, total: int, most: int) -> str:
    """One sentence that says what was cut.

    Args:
        cut: The number of texts that were cut.
        total: The number of texts.
        most: The most tokens that were cut off one.
    """
    return (
        f"{cut} of {total} {'text is' if total == 1 else 'texts are'} longer than the model takes and "
        f"{'was' if cut == 1 else 'were'} cut, by up to {most} tokens"
    )
