"""Items that may have ended a worker, and their identification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from inferox.engine.workers.flight_record import Flight, is_in
from inferox.engine.workers.pooled_request import Part
from inferox.engine.workers.quarantine import digest_item


@dataclass(eq=False)
class Death:
    """The death of a worker that items are suspected of.

    Attributes:
        reason: How the worker ended.
        is_explained: Whether the item that caused it was found.
    """

    reason: str
    is_explained: bool = False


@dataclass(eq=False)
class Suspect:
    """An item that a worker may have died of.

    Attributes:
        part: The part with this item alone.
        death: The death that it is suspected of.
        digest: Its digest; ``None`` if it has none.
        made_way_s: When it took long while others waited, and was put off until none do, on the clock of
            ``time.monotonic``; ``None`` if it was not.
    """

    part: Part
    death: Death
    digest: bytes | None
    made_way_s: float | None = None

    def equals(self, other: Suspect) -> bool:
        """Returns whether another one has the same item, and so the same fate; ``False`` if that is not known.

        Args:
            other: The other suspect.
        """
        return self.digest is not None and self.digest == other.digest


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
