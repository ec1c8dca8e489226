"""The record of what a worker is computing, which can be read even after the worker's death."""

from __future__ import annotations

import array
import mmap
import os
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

from inferox.engine.workers.unnamed_file import open_file

_HEAD = struct.Struct("<Qdd")
"""The number of rows in flight, the start time, and the time limit in seconds."""

_SLOT_BYTES = 8192
_MOST_ROWS = (_SLOT_BYTES - _HEAD.size) // 8
_EVERYTHING = 2**64 - 1
"""The number of rows that stands for more than fit into a slot."""

_ROW_BITS = 24
ALL_ROWS = 2**_ROW_BITS - 1
"""The row index that stands for all rows of a call."""


@dataclass(frozen=True)
class Flight:
    """Rows that are in flight together.

    Attributes:
        rows: The rows, as pairs of a call and the index of an item; ``None`` if they are too many to be listed.
        since_s: The start time, on the clock of ``time.monotonic``, which all processes share.
        limit_s: The seconds after which they are overdue; ``None`` if that is not known.
    """

    rows: frozenset[tuple[int, int]] | None
    since_s: float
    limit_s: float | None

    def is_overdue(self) -> bool:
        """Returns whether it takes so long that something must be wrong."""
        return self.limit_s is not None and time.monotonic() - self.since_s > self.limit_s


class FlightSlot:
    """A slot in which one thread at a time records what is in flight.

    Args:
        memory: The memory of all slots.
        start: The offset of this slot.
    """

    def __init__(self, memory: mmap.mmap, start: int) -> None:
        self._memory = memory
        self._start = start

    def write(self, rows: Sequence[tuple[int, int]], limit_s: float | None = None) -> None:
        """Records what is in flight from now on.

        Args:
            rows: The rows, as pairs of a call and the index of an item; they replace earlier ones.
            limit_s: The seconds after which they are overdue; ``None`` if that is not known.
        """
        start, count = self._start, len(rows) if len(rows) <= _MOST_ROWS else _EVERYTHING
        # While the number is 0, the slot is empty, whatever else it contains.
        self._memory[start : start + 8] = bytes(8)
        if not rows:
            return
        if count != _EVERYTHING:
            packed = array.array("Q", [call << _ROW_BITS | min(row, ALL_ROWS) for call, row in rows]).tobytes()
            self._memory[start + _HEAD.size : start + _HEAD.size + len(packed)] = packed
        self._memory[start + 8 : start + _HEAD.size] = _HEAD.pack(0, time.monotonic(), limit_s or 0.0)[8:]
        self._memory[start : start + 8] = struct.pack("<Q", count)

    def read(self) -> Flight | None:
        """Reads the rows in flight, now or when the worker died; ``None`` if there are none."""
        count, since_s, limit_s = _HEAD.unpack_from(self._memory, self._start)
        if not count:
            return None
        if count > _MOST_ROWS:
            return Flight(None, since_s, limit_s or None)
        first, packed = self._start + _HEAD.size, array.array("Q")
        packed.frombytes(self._memory[first : first + count * packed.itemsize])
        rows = frozenset((number >> _ROW_BITS, number & ALL_ROWS) for number in packed)
        return Flight(rows, since_s, limit_s or None)


class FlightRecord:
    """Shared memory that records what each thread of a worker computes.

    Nothing needs to be sent: a worker that is killed has already written it.

    Args:
        descriptor: The file of the slots, as ``make_record_file`` makes it; it is not closed.
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        slots = [FlightSlot(self._memory, start) for start in range(0, len(self._memory), _SLOT_BYTES)]
        self._heart, *self._slots = slots
        self._free: SimpleQueue[FlightSlot] = SimpleQueue()
        for slot in self._slots:
            self._free.put(slot)

    def begin(self, rows: Sequence[tuple[int, int]], limit_s: float | None) -> FlightSlot:
        """Records that rows are in flight from now on; see ``FlightSlot.write``.

        Returns:
            The slot, for ``end``.
        """
        slot = self._free.get()
        slot.write(rows, limit_s)
        return slot

    def end(self, slot: FlightSlot) -> None:
        """Records that rows are no longer in flight.

        Args:
            slot: The slot from ``begin``.
        """
        slot.write([])
        self._free.put(slot)

    def beat(self, limit_s: float) -> None:
        """Records a heartbeat: the worker still reads its messages.

        Args:
            limit_s: The seconds within which the next beat is due.
        """
        self._heart.write([(0, ALL_ROWS)], limit_s)

    def read_heart(self) -> Flight | None:
        """Reads the last heartbeat, which is overdue if another should have followed; ``None`` before the first."""
        return self._heart.read()

    def read(self) -> list[Flight]:
        """Reads the rows in flight, now or when the worker died."""
        return [flight for slot in self._slots if (flight := slot.read())]

    def close(self) -> None:
        """Releases the memory."""
        self._memory.close()


def make_record_file(slots: int) -> int:
    """Makes an empty file for the record of a worker.

    Args:
        slots: The number of the worker's threads that may compute at once.

    Returns:
        Its descriptor, which the caller closes.
    """
    descriptor = open_file()
    os.ftruncate(descriptor, (1 + slots) * _SLOT_BYTES)
    return descriptor


def is_in(flights: Iterable[Flight], call: int, row: int) -> bool:
    """Returns whether a row is in flight.

    Args:
        flights: The rows in flight.
        call: The call that the row belongs to.
        row: The index of its item.
    """
    return any(
        flight.rows is None or (call, row) in flight.rows or (call, ALL_ROWS) in flight.rows for flight in flights
    )
