"""The one border at which invalid responses of a server become errors of Inferox."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from inferox.core import ManifestError, ResponseError, first_line


@contextmanager
def reading(subject: str) -> Iterator[None]:
    """Turns errors while a response is read into a ``ResponseError``.

    Args:
        subject: The name of the response, for the error.

    Raises:
        ResponseError: If the response does not follow the protocol.
    """
    try:
        yield
    except (ManifestError, ValueError, OverflowError, struct.error) as error:
        raise ResponseError(
            f"{subject} does not follow the Open Inference Protocol: {first_line(error)}",
            hint="is this the address of inferox serve, without a path?",
        ) from error
