"""The check of an artifact that may be to blame for a failed batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from inferox.core import OutOfMemoryError, RequestError
from inferox.loading import TaskModel

_REST = 4
"""The time for which an artifact that passed is not checked again, as a multiple of the duration of a check: rows that
fail again and again must not cost others more than a fifth of the time."""


class Suspicion:
    """Decides whether an artifact is to blame for a failure: it is only if it fails its own stored samples, too.

    So a client whose rows fail cannot take an artifact away from others. Thread-safe.

    Args:
        check: Computes the stored samples with an artifact, and raises an error if that fails; ``None`` if there are
            none.
        clock: The clock, in seconds.

    Attributes:
        is_confirmed: Whether the artifact is to blame.
        cause: How it failed its samples, as text; empty if it did not. An exception would keep its frames alive.
    """

    def __init__(
        self, check: Callable[[TaskModel], None] | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.is_confirmed = False
        self.cause = ""
        self._check = check
        self._clock = clock
        self._lock = Lock()
        self._rests_until_s = 0.0

    def confirm(self, error: Exception, loaded: TaskModel) -> bool:
        """Checks the artifact because a batch failed.

        Args:
            error: The error of the batch.
            loaded: The artifact.

        Returns:
            Whether the artifact is to blame. A lack of memory is not its fault.
        """
        if self._check is None or isinstance(error, RequestError | OutOfMemoryError | MemoryError):
            return False
        with self._lock:
            began_s = self._clock()
            if self.is_confirmed or began_s < self._rests_until_s:
                return self.is_confirmed
            try:
                self._check(loaded)
            except (OutOfMemoryError, MemoryError):
                return False
            except Exception as found:  # noqa: BLE001 - whatever it is, the samples cannot be computed
                self.is_confirmed, self.cause = True, str(found)
                return True
            now_s = self._clock()
            self._rests_until_s = now_s + _REST * (now_s - began_s)
            return False
