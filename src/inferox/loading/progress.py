"""The progress of a call with many items, shown on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from time import monotonic
from typing import Any, TypeVar

from inferox.core import counted
from inferox.loading.progress_display import showing

T = TypeVar("T")

_LINE_EVERY_S = 5.0


def watch(answers: Iterator[tuple[Sequence[int], Any]], total: int, unit: str) -> Iterator[tuple[Sequence[int], Any]]:
    """Passes answers on while showing progress: a bar on a terminal, elsewhere a line every five seconds.

    Args:
        answers: The indices of items with their results.
        total: The number of items.
        unit: The name of the items, such as ``texts``.
    """
    began_s, done = monotonic(), 0
    with showing(f"{total:,} {unit}", every_s=_LINE_EVERY_S, is_patient=True) as show:
        for indices, results in answers:
            yield indices, results
            done += len(indices)
            rate = done / max(monotonic() - began_s, 1e-9)
            left = f", {(total - done) / rate:,.0f} s left" if done < total else ""
            show(f"{done:,} of {total:,} {unit}, {rate:,.0f}/s{left}", done / total)


def watch_blocks(blocks: Iterable[Sequence[T]], unit: str) -> Iterator[Sequence[T]]:
    """Passes blocks of items on, whose number is not known, while showing how many items there were; see ``watch``.

    Args:
        blocks: The items, in blocks.
        unit: The name of one item, such as ``text``.
    """
    began_s, done = monotonic(), 0
    with showing(f"{unit}s", every_s=_LINE_EVERY_S, is_patient=True) as show:

        def tell(share: float | None) -> None:
            show(f"{counted(done, unit)}, {done / max(monotonic() - began_s, 1e-9):,.0f}/s", share)

        for block in blocks:
            done += len(block)
            tell(None)
            yield block
        tell(1.0)
