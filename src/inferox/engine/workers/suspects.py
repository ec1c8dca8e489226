"""The identification of items that may have ended a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from inferox.engine.workers.flight_record import Flight, is_in
from inferox.engine.workers.pooled_request import Part
from inferox.engine.workers.quarantine import digest_item


def tell_suspects(parts: Mapping[int, Part], flights: Sequence[Flight]) -> tuple[list[Part], list[Part]]:
    """Divides the parts that a worker had when it died.

    Args:
        parts: The parts, by the numbers of their calls.
        flights: The rows that it was computing.

    Returns:
        The parts that another worker may compute, and the suspects one by one: the items in flight, and their equals.
    """
    divided = [
        (part, *part.divide(partial(is_in, flights, number)))
        for number, part in parts.items()
        if not part.request.is_over()
    ]
    known = {_digest(part, row) for part, suspected, _ in divided for row in suspected} - {None}
    others: list[Part] = []
    suspects: list[Part] = []
    for part, suspected, rest in divided:
        equal = {row for row in rest if known and _digest(part, row) in known}
        left = [row for row in rest if row not in equal]
        suspects += [part.after_death([row]) for row in (*suspected, *sorted(equal))]
        if left or not part.rows:
            others.append(part.after_death(left))
    return others, suspects


def _digest(part: Part, row: int) -> bytes | None:
    return digest_item(part.request.model.key, part.request.items[row])
