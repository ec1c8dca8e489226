"""The progress of a bulk run: rows, rate, and remaining time."""

from __future__ import annotations

from threading import Lock
from time import monotonic

_MINUTE_S, _HOUR_S = 60, 3600


class Watcher:
    """Records the progress of a bulk run. May be used from several threads at once.

    Attributes:
        total: The number of rows to compute, including those of earlier runs; ``None`` if only reading would tell.
        computed: The number of rows computed by this run.
        is_running: Whether the run has begun to compute.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.total: int | None = None
        self.computed = 0
        self.is_running = False
        self._before = 0
        self._began_s = monotonic()
        self._position = self._first_position = 0.0

    def begin(self, total: int | None, before: int) -> None:
        """Records the work to do.

        Args:
            total: The number of rows of the run; ``None`` if unknown.
            before: The number of them that an earlier run has computed.
        """
        self.total, self._before, self._began_s = total, before, monotonic()
        self.is_running = True

    def advance(self, rows: int) -> None:
        """Counts computed rows.

        Args:
            rows: The number of rows since the last call.
        """
        with self._lock:
            self.computed += rows

    def note_window(self, begins: float, ends: float) -> None:
        """Records the share of the input that is done with a computed window.

        Args:
            begins: The share of the input's bytes before it, from 0 to 1.
            ends: The share of the input's bytes up to its end.
        """
        if not self._position:
            self._first_position = begins
        self._position = ends

    @property
    def rate(self) -> float:
        """The rows per second of this run."""
        return self.computed / max(monotonic() - self._began_s, 1e-9)

    @property
    def share(self) -> float | None:
        """The share that is done, from 0 to 1; ``None`` while it is unknown."""
        if self.total is not None:
            return (self._before + self.computed) / max(self.total, 1)
        return self._position or None

    @property
    def left_s(self) -> float | None:
        """The remaining time at this rate, in seconds; ``None`` while it is unknown."""
        if not self.computed:
            return None
        if self.total is not None:
            return max(self.total - self._before - self.computed, 0) / self.rate
        done = self._position - self._first_position
        return (monotonic() - self._began_s) * (1 - self._position) / done if done > 0 else None

    def describe(self) -> str:
        """Describes the progress in one line: rows done, their total, the rate, and the remaining time.

        The share is not in it: a progress display shows that by itself.
        """
        left_s = self.left_s
        of = f" of {self.total:,}" if self.total is not None else ""
        left = "" if not left_s else f", {_format_s(left_s)} left"
        done = self._before + self.computed
        unit = "row" if (self.total or done) == 1 else "rows"
        return f"{done:,}{of} {unit}, {self.rate:,.0f} rows/s{left}"


def _format_s(seconds: float) -> str:
    if seconds < _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _HOUR_S:.1f} h"
