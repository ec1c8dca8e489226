"""Equal rows, of which only one is computed."""

from __future__ import annotations

from collections.abc import Sequence

from inferox.engine.request import Request, Row, RowKey


class EqualRows:
    """Rows of one owner with the same answer: those that wait, and those whose equal is being computed.

    Each waits by itself, so that none depends on the priority, the deadline or the patience of another's caller. Once
    one of them is taken, the others wait for its answer. Callers must hold the queue's lock.
    """

    def __init__(self) -> None:
        self._waiting: dict[RowKey, dict[Row, None]] = {}
        self._computing: dict[RowKey, tuple[Row, list[Row]]] = {}

    def add(self, request: Request) -> None:
        """Adds the rows of a request. Those whose equal is being computed wait for that, rather than for a batch.

        Args:
            request: The request.
        """
        if request.keys is None:
            return
        for row in [row for rows in request.waiting.values() for row in rows]:
            key = request.key_of(row)
            if key in self._computing:
                self._computing[key][1].append((request, row))
                request.drop(row)
            else:
                self._waiting.setdefault(key, {})[(request, row)] = None

    def put_back(self, request: Request, row: int) -> None:
        """Adds a row that waits again.

        Args:
            request: The request.
            row: The row.
        """
        if request.keys is not None:
            self._waiting.setdefault(request.key_of(row), {})[request, row] = None

    def remove(self, request: Request, rows: Sequence[int]) -> None:
        """Removes rows from those that wait.

        Args:
            request: The request.
            rows: The rows.
        """
        if request.keys is None:
            return
        for row in rows:
            key = request.key_of(row)
            equal = self._waiting[key]
            del equal[request, row]
            if not equal:
                del self._waiting[key]

    def begin(self, request: Request, row: int) -> Sequence[Row] | None:
        """Records that a row is going to be computed, unless an equal one is.

        Args:
            request: The request.
            row: The row, which no longer waits.

        Returns:
            The rows that from now on wait for its answer rather than for a batch; ``None`` if it is one of those
            itself.
        """
        if request.keys is None:
            return ()
        key = request.key_of(row)
        if key in self._computing:
            self._computing[key][1].append((request, row))
            return None
        equal = list(self._waiting.pop(key, ()))
        self._computing[key] = (request, row), equal
        return tuple(equal)

    def end(self, request: Request, row: int) -> list[Row]:
        """Records that a row has been computed, or is not going to be.

        Args:
            request: The request.
            row: The row.

        Returns:
            The rows that wait for its answer; none if that was recorded before.
        """
        if request.keys is None:
            return []
        key = request.key_of(row)
        computed, equal = self._computing.get(key, (None, []))
        if computed != (request, row):  # an equal one has begun since, while other answers of the batch were delivered
            return []
        del self._computing[key]
        return equal
