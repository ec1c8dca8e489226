"""Limits on the requests that the front process holds before it refuses more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from inferox.core import OverloadedError, counted
from inferox.core.raising import raise_any

_RETRY_AFTER_S = 1.0


@dataclass
class Held:
    """The memory held by one request.

    Attributes:
        size_bytes: The size of its body as received so far.
    """

    size_bytes: int = 0


class Intake:
    """Counts the unanswered requests, the bytes of their bodies, and those of unread answers.

    To be used from one event loop.

    Args:
        request_limit: The number of requests that may be unanswered at a time.
        held_limit_bytes: The total size of their bodies and of large answers that are not read yet.
    """

    def __init__(self, request_limit: int, held_limit_bytes: int) -> None:
        self._request_limit = request_limit
        self._held_limit_bytes = held_limit_bytes
        self._requests = 0
        self._held_bytes = 0

    @contextmanager
    def admit(self, expected_bytes: int) -> Iterator[Held]:
        """Admits a request for the duration of a block, before its body is read.

        Args:
            expected_bytes: The announced size of its body.

        Raises:
            OverloadedError: If there is no room for it.
        """
        raise_any(self.find_refusal(expected_bytes))
        held = Held()
        self._requests += 1
        try:
            yield held
        finally:
            self._requests -= 1
            self._held_bytes -= held.size_bytes

    def hold(self, held: Held, size_bytes: int) -> None:
        """Counts bytes received of a body. Bytes that were only announced take no room from others.

        Args:
            held: The memory held by the request.
            size_bytes: The number of bytes received.

        Raises:
            OverloadedError: If there is no room for them.
        """
        raise_any(self._find_lack(size_bytes))
        held.size_bytes += size_bytes
        self._held_bytes += size_bytes

    def count_unread(self, change_bytes: int) -> None:
        """Counts bytes of answers that wait for their clients, which keep requests from being admitted.

        Args:
            change_bytes: The number of bytes that wait; negative for those that no longer do.
        """
        self._held_bytes += change_bytes

    @property
    def is_full(self) -> bool:
        """True if no more requests are admitted, however small their bodies are."""
        return self._requests >= self._request_limit or self._held_bytes > self._held_limit_bytes

    def find_refusal(self, expected_bytes: int) -> OverloadedError | None:
        """Returns the error with which a request would be refused now; ``None`` if it would be admitted.

        Args:
            expected_bytes: The announced size of its body.
        """
        if self._requests < self._request_limit:
            return self._find_lack(expected_bytes)
        return OverloadedError(
            f"the server already has {counted(self._requests, 'unanswered request')}, the most it may have",
            retry_after_s=_RETRY_AFTER_S,
        )

    def _find_lack(self, size_bytes: int) -> OverloadedError | None:
        if self._held_bytes + size_bytes <= self._held_limit_bytes:
            return None
        return OverloadedError(
            f"unanswered requests and unread answers take {counted(self._held_bytes, 'byte')}, and with this request "
            f"would exceed the limit of {self._held_limit_bytes:,}",
            retry_after_s=_RETRY_AFTER_S,
        )
