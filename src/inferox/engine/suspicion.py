"""The check of an artifact that may be to blame for a batch that failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from inferox.core import OutOfMemoryError, RequestError
from inferox.loading import TaskModel

_REST = 4
"""The time an artifact is not checked again after it passed, as a multiple of the time that checking takes: rows that
fail again and again must not cost others more than a fifth of the time."""


class Suspicion:
    """Tells whether an artifact is to blame for a failure: it is only where it fails its own stored samples, too.

    A client whose rows fail can so take nothing away from others. Several threads may use it.

    Args:
        check: Computes the stored samples with an artifact, and raises something where that fails; ``None`` where
            there are none.
        clock: The time, in seconds.

    Attributes:
        is_confirmed: Whether the artifact is to blame.
        cause: How it failed its samples; empty if it did not. An error would hold on to all that raised it.
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
        """Checks the artifact, because a batch failed.

        Args:
            error: How it failed.
            loaded: The artifact.

        Returns:
            Whether the artifact is to blame. It is not where its memory is short.
        """
        if self._check is None or isinstance(error, RequestError | OutOfMemoryError):
            return False
        with self._lock:
            began_s = self._clock()
            if self.is_confirmed or began_s < self._rests_until_s:
                return self.is_confirmed
            try:
                self._check(loaded)
            except OutOfMemoryError:
                return False
            except Exception as found:  # noqa: BLE001 - whatever it is, the samples cannot be computed
                self.is_confirmed, self.cause = True, str(found)
                return True
            now_s = self._clock()
            self._rests_until_s = now_s + _REST * (now_s - began_s)
            return False
