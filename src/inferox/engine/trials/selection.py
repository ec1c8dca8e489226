"""The choice of requests for an artifact that is tried."""

from __future__ import annotations

import math
from hashlib import blake2b
from threading import Lock

_DIGEST_BYTES = 8
_DIGESTS = float(256**_DIGEST_BYTES)


class RequestShare:
    """Chooses a share of the requests. Several threads may use it.

    A request that has an id is chosen by that alone, so that it is chosen again where it comes again, in any process.
    Of those that have none, they are taken at even distances.

    Args:
        share: The share, from 0 to 1.
        kind: For what they are chosen: other kinds choose others.
    """

    def __init__(self, share: float, kind: str) -> None:
        self._share = share
        self._kind = kind
        self._lock = Lock()
        self._seen = 0

    def chooses(self, request_id: str | None) -> bool:
        """Says whether a request is among them.

        Args:
            request_id: The id of the request; ``None`` if it has none.
        """
        if request_id is not None:
            digest = blake2b(f"{self._kind} {request_id}".encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES)
            return int.from_bytes(digest.digest()) < self._share * _DIGESTS
        with self._lock:
            self._seen += 1
            return math.floor(self._seen * self._share) > math.floor((self._seen - 1) * self._share)
