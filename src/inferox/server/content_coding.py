"""Compressed request bodies."""

from __future__ import annotations

import zlib

from inferox.server.http_error import HttpError

IDENTITY = "identity"
"""The content coding of an uncompressed body."""

_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""The window bits with which zlib reads each coding; HTTP's deflate is zlib's own format."""

CODINGS = frozenset(_WINDOWS)
"""The codings that can be decompressed."""


def decompress(body: bytes, coding: str, limit_bytes: int) -> bytes:
    """Decompresses a body.

    Args:
        body: The body.
        coding: One of ``CODINGS``.
        limit_bytes: The largest decompressed size.

    Raises:
        HttpError: If the body is damaged, or decompresses to more than the limit.
    """
    reader = zlib.decompressobj(_WINDOWS[coding])
    try:
        content = reader.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise HttpError(400, "invalid_body", f"the body is not valid {coding}: {error}") from error
    if len(content) > limit_bytes:
        raise HttpError(
            413,
            "body_too_large",
            f"a body may have {limit_bytes:,} bytes, but this one has more after decompression",
        )
    if not reader.eof or reader.unused_data:
        raise HttpError(
            400, "invalid_body", f"the body is not valid {coding}: it ends too early, or continues after its end"
        )
    return content
