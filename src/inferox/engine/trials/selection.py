"""The choice of requests for an artifact on trial."""

from __future__ import annotations

import math
from hashlib import blake2b
from threading import Lock

_DIGEST_BYTES = 8
_DIGESTS = float(256**_DIGEST_BYTES)


class RequestShare:
    """Chooses a share of the requests. Thread-safe.

    A request with an id is chosen by the id alone, so that the same request is chosen again in any process. Requests
    without one are chosen at regular intervals.

    Args:
        share: The share, from 0 to 1.
        kind: The kind of the trial: different kinds choose different requests.
    """

    def __init__(self, share: float, kind: str) -> None:
        self._share = share
        self._kind = kind
        self._lock = Lock()
        self._seen = 0

    def chooses(self, request_id: str | None) -> bool:
        """Returns whether a request is chosen.

        Args:
            request_id: The id of the request; ``None`` if it has none.
        """
        if request_id is not None:
            digest = blake2b(f"{self._kind} {request_id}".encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES)
            return int.from_bytes(digest.digest()) < self._share * _DIGESTS
        with self._lock:
            self._seen += 1
            return math.floor(self._seen * self._share) > math.floor((self._seen - 1) * self._share)
