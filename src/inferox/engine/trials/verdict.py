"""The rule by which a canary goes on or ends."""

from __future__ import annotations

from collections import deque
from threading import Lock

from inferox.core import counted

LATEST = 256
"""Over how many of the last requests drift and errors are told."""

LEAST = 5
"""The fewest answers for a verdict: one that is far off does not end a trial, and a few do."""


class Verdict:
    """Tells from the last requests of a canary whether it may go on. Several threads may use it.

    Args:
        drift_limit: How far its answers may be away, in the mean.
        error_limit: The share of its requests that may fail.
    """

    def __init__(self, drift_limit: float, error_limit: float) -> None:
        self._drift_limit, self._error_limit = drift_limit, error_limit
        self._lock = Lock()
        self._drifts: deque[float] = deque(maxlen=LATEST)
        self._failed: deque[bool] = deque(maxlen=LATEST)

    def note_request(self, *, failed: bool) -> str | None:
        """Takes a request into account.

        Args:
            failed: Whether the canary failed it.

        Returns:
            Why the canary may not go on; ``None`` if it may.
        """
        with self._lock:
            self._failed.append(failed)
            failures, count = sum(self._failed), len(self._failed)
        if count < LEAST or failures <= self._error_limit * count:
            return None
        return f"{failures} of its last {counted(count, 'request')} failed, and {self._error_limit:.3g} of them may"

    def note_drift(self, distance: float) -> str | None:
        """Takes a request that was compared into account.

        Args:
            distance: How far the canary's answer was away; see ``Drift``.

        Returns:
            Why the canary may not go on; ``None`` if it may.
        """
        with self._lock:
            self._drifts.append(distance)
            mean, count = sum(self._drifts) / len(self._drifts), len(self._drifts)
        if count < LEAST or mean <= self._drift_limit:
            return None
        return (
            f"its last {count} answers that were compared drift by {mean:.3g}, and {self._drift_limit:.3g} is allowed"
        )
