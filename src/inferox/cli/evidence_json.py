"""Evidence of parity as the commands print it in JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def shorten_evidence(items: Iterable[dict[str, Any]], *, with_rows: bool) -> list[dict[str, Any]]:
    """Leaves out the figures of single rows, which are most of the evidence, unless they are wanted.

    Args:
        items: The evidence of artifacts, in JSON.
        with_rows: Whether the figures of single rows are wanted.
    """
    return [{key: value for key, value in item.items() if with_rows or key != "rows"} for item in items]
