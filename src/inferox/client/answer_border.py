"""The one border at which what a server answers wrongly becomes an error of Inferox."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from inferox.core import ManifestError, ResponseError, first_line


@contextmanager
def reading(subject: str) -> Iterator[None]:
    """Makes a ``ResponseError`` of what goes wrong while an answer is read.

    Args:
        subject: What is read, for the error.

    Raises:
        ResponseError: If it is not what the protocol says.
    """
    try:
        yield
    except (ManifestError, ValueError, OverflowError, struct.error) as error:
        raise ResponseError(
            f"{subject} is not one of the Open Inference Protocol: {first_line(error)}",
            hint="is this the address of inferox serve, without a path?",
        ) from error
