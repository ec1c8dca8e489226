"""The rule that decides whether a canary goes on."""

from __future__ import annotations

from collections import deque
from threading import Lock

from inferox.core import counted

LATEST = 256
"""The number of recent requests over which drift and errors are measured."""

LEAST = 5
"""The fewest answers for a verdict, so that a single outlier does not end a trial but a few do."""


class Verdict:
    """Decides from a canary's recent requests whether it may go on. Thread-safe.

    Args:
        drift_limit: The largest mean drift of its answers.
        error_limit: The share of its requests that may fail.
    """

    def __init__(self, drift_limit: float, error_limit: float) -> None:
        self._drift_limit, self._error_limit = drift_limit, error_limit
        self._lock = Lock()
        self._drifts: deque[float] = deque(maxlen=LATEST)
        self._failed: deque[bool] = deque(maxlen=LATEST)

    def note_request(self, *, failed: bool) -> str | None:
        """Counts a request.

        Args:
            failed: Whether the canary failed it.

        Returns:
            The reason why the canary may not go on; ``None`` if it may.
        """
        with self._lock:
            self._failed.append(failed)
            failures, count = sum(self._failed), len(self._failed)
        if count < LEAST or failures <= self._error_limit * count:
            return None
        requests = counted(count, "request")
        return f"{failures} of its last {requests} failed, but a share of {self._error_limit:.3g} is allowed"

    def note_drift(self, distance: float) -> str | None:
        """Counts a compared request.

        Args:
            distance: The distance of the canary's answer; see ``Drift``.

        Returns:
            The reason why the canary may not go on; ``None`` if it may.
        """
        with self._lock:
            self._drifts.append(distance)
            mean, count = sum(self._drifts) / len(self._drifts), len(self._drifts)
        if count < LEAST or mean <= self._drift_limit:
            return None
        return (
            f"its last {count} answers that were compared drift by {mean:.3g}, but {self._drift_limit:.3g} is allowed"
        )
