"""Which rows share a batch: arithmetic on their lengths alone."""

from __future__ import annotations

from collections.abc import Sequence

from inferox.core import ConfigError


def plan_batches(lengths: Sequence[int], *, max_tokens: int, max_rows: int) -> list[list[int]]:
    """Divides rows into batches whose rows are alike in length, so that little of a batch is padding.

    Args:
        lengths: The length of each row, in tokens.
        max_tokens: The most tokens of a batch, its padding included: rows times the longest. Only a row that is longer
            by itself exceeds it, and is then alone.
        max_rows: The most rows of a batch.

    Returns:
        The indices of each batch's rows, shortest first. Every row is in exactly one batch.

    Raises:
        ConfigError: If a limit is less than 1.
    """
    if max_tokens < 1 or max_rows < 1:
        raise ConfigError(f"a batch needs at least 1 token and 1 row, and the limits are {max_tokens} and {max_rows}")
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Rows come in rising length, so that the one that joins is always the longest of its batch.
        rows = len(batches[-1]) + 1 if batches else 0
        if batches and rows <= max_rows and rows * lengths[index] <= max_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
