"""What requests may take of this process before they are refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from inferox.core import OverloadedError, counted

_RETRY_AFTER_S = 1.0


@dataclass
class Held:
    """What one request holds.

    Attributes:
        size_bytes: How much of its body has come.
    """

    size_bytes: int = 0


class Intake:
    """Counts the requests that are not answered yet, and the bytes of their bodies. One event loop uses it.

    Args:
        request_limit: How many requests there may be at a time.
        held_limit_bytes: How much their bodies together may take.
    """

    def __init__(self, request_limit: int, held_limit_bytes: int) -> None:
        self._request_limit = request_limit
        self._held_limit_bytes = held_limit_bytes
        self._requests = 0
        self._held_bytes = 0

    @contextmanager
    def admit(self, expected_bytes: int) -> Iterator[Held]:
        """Takes a request in for the length of a block, before its body is read.

        Args:
            expected_bytes: How large its body says that it is.

        Raises:
            OverloadedError: If there is no room for it.
        """
        if (refusal := self.find_refusal(expected_bytes)) is not None:
            raise refusal
        held = Held()
        self._requests += 1
        try:
            yield held
        finally:
            self._requests -= 1
            self._held_bytes -= held.size_bytes

    def hold(self, held: Held, size_bytes: int) -> None:
        """Counts what has come of a body. What only was announced takes no room from others.

        Args:
            held: What its request holds.
            size_bytes: How much more has come.

        Raises:
            OverloadedError: If there is no room for it.
        """
        if (refusal := self._find_lack(size_bytes)) is not None:
            raise refusal
        held.size_bytes += size_bytes
        self._held_bytes += size_bytes

    @property
    def is_full(self) -> bool:
        """Whether there may be no more requests, however small their bodies are."""
        return self._requests >= self._request_limit

    def find_refusal(self, expected_bytes: int) -> OverloadedError | None:
        """The reason why a request would be refused now; ``None`` where it would be taken in.

        Args:
            expected_bytes: How large its body says that it is.
        """
        if self._requests < self._request_limit:
            return self._find_lack(expected_bytes)
        return OverloadedError(
            f"{counted(self._requests, 'request')} without an answer yet, and no more may wait",
            retry_after_s=_RETRY_AFTER_S,
        )

    def _find_lack(self, size_bytes: int) -> OverloadedError | None:
        if self._held_bytes + size_bytes <= self._held_limit_bytes:
            return None
        return OverloadedError(
            f"the requests that are not answered yet take {counted(self._held_bytes, 'byte')}, and no more than "
            f"{self._held_limit_bytes:,} may wait",
            retry_after_s=_RETRY_AFTER_S,
        )
