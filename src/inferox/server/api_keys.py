"""API keys: who may send requests, how often, and how many at once."""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from inferox.core import ConfigError, OverloadedError, counted
from inferox.server.api_key import ApiKey
from inferox.server.http_error import HttpError
from inferox.server.request_record import current_record

current_owner: ContextVar[str | None] = ContextVar("current_owner", default=None)
"""The name of the API key of the request being answered; ``None`` without keys."""

_AT_ONCE_RETRY_S = 1.0


def read_presented_key(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Returns the API key of a request, in whichever header the client sent it; ``None`` if it sent none.

    Args:
        headers: The HTTP headers or the gRPC metadata, by lower-case name.
    """
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and token.strip():
        return token.strip()
    return headers.get(b"x-api-key") or headers.get(b"api-key") or None


class _Account:
    """The usage of a key."""

    def __init__(self, key: ApiKey, clock: Callable[[], float]) -> None:
        self.key = key
        self.digest = bytes.fromhex(key.sha256)
        self._clock = clock
        self._burst = float(key.burst or max(1, math.floor(key.requests_per_second or 1)))
        self._left, self._since_s = self._burst, clock()
        self._open = 0

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Counts a request for the duration of a block; see ``ApiKeys.admit``."""
        most = self.key.requests_at_once
        if most is not None and self._open >= most:
            raise OverloadedError(
                f"the API key {self.key.name!r} already has {counted(self._open, 'unanswered request')}, "
                "the most it may have",
                retry_after_s=_AT_ONCE_RETRY_S,
            )
        self._spend_one()
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    def _spend_one(self) -> None:
        rate = self.key.requests_per_second
        if rate is None:
            return
        now_s = self._clock()
        self._left = min(self._burst, self._left + (now_s - self._since_s) * rate)
        self._since_s = now_s
        if self._left < 1:
            raise OverloadedError(
                f"the API key {self.key.name!r} may send {rate:g} requests per second, but has sent more",
                retry_after_s=(1 - self._left) / rate,
            )
        self._left -= 1


class ApiKeys:
    """The API keys that the server accepts. To be used from one event loop.

    Args:
        keys: The keys; if there are none, everyone who reaches the server may send requests.
        clock: Returns the time, in seconds.

    Raises:
        ConfigError: If two keys have the same name or the same digest.
    """

    def __init__(self, keys: Sequence[ApiKey], *, clock: Callable[[], float] = time.monotonic) -> None:
        for what in ("name", "sha256"):
            values = [getattr(key, what) for key in keys]
            if twice := sorted({value for value in values if values.count(value) > 1}):
                raise ConfigError(f"two API keys have the same {what}: {twice[0]}")
        self._accounts = [_Account(key, clock) for key in keys]

    @contextmanager
    def admit(self, presented: bytes | None) -> Iterator[None]:
        """Admits a request for the duration of a block, on behalf of its key.

        Args:
            presented: The key that came with the request; ``None`` if none did.

        Raises:
            HttpError: If the server has keys, and the presented one is missing or not among them.
            OverloadedError: If the key may not send more requests now.
        """
        if not self._accounts:
            yield
            return
        account = self._find(presented)
        if (record := current_record.get()) is not None:
            record.owner = account.key.name
        with account.spending():
            token = current_owner.set(account.key.name)
            try:
                yield
            finally:
                current_owner.reset(token)

    def find_owner(self, presented: bytes | None) -> str | None:
        """Returns the name of the key that came with a request; ``None`` if the server has no keys.

        Args:
            presented: The key that came with the request; ``None`` if none did.

        Raises:
            HttpError: If the server has keys, and the presented one is missing or not among them.
        """
        return self._find(presented).key.name if self._accounts else None

    def _find(self, presented: bytes | None) -> _Account:
        if presented is None:
            raise HttpError(
                401,
                "missing_api_key",
                "an API key is needed: send it as 'authorization: Bearer KEY'",
                {"www-authenticate": "Bearer"},
            )
        digest = hashlib.sha256(presented).digest()
        # Every key is compared, each in constant time, so that the time reveals nothing about nearly right keys.
        found = [account for account in self._accounts if hmac.compare_digest(account.digest, digest)]
        if not found:
            raise HttpError(401, "invalid_api_key", "this API key is not known", {"www-authenticate": "Bearer"})
        return found[0]
