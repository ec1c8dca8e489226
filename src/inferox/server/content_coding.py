"""Bodies that are compressed."""

from __future__ import annotations

import zlib

from inferox.server.http_error import HttpError

IDENTITY = "identity"
"""What a body is encoded as that is not."""

_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""How zlib reads each coding; what HTTP calls deflate is zlib's own format."""

CODINGS = frozenset(_WINDOWS)
"""The codings that can be read."""


def decompress(body: bytes, coding: str, limit_bytes: int) -> bytes:
    """Decompresses a body.

    Args:
        body: The body.
        coding: One of ``CODINGS``.
        limit_bytes: How large it may become.

    Raises:
        HttpError: If it is damaged, or becomes larger.
    """
    reader = zlib.decompressobj(_WINDOWS[coding])
    try:
        content = reader.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise HttpError(400, "invalid_body", f"the body is not what {coding} writes: {error}") from error
    if len(content) > limit_bytes:
        raise HttpError(
            413,
            "body_too_large",
            f"a body may have {limit_bytes:,} bytes, but this one has more once it is decompressed",
        )
    if not reader.eof or reader.unused_data:
        raise HttpError(400, "invalid_body", f"the body is not what {coding} writes: it ends too early, or goes on")
    return content
