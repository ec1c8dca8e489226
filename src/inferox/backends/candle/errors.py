"""The border at which Candle's exceptions become Inferox's, and the check that keeps it from aborting the process."""

from __future__ import annotations

import re

from inferox.backends.host import free_memory_bytes
from inferox.core import ErrorBorder, Fault, OutOfMemoryError

_BACKTRACE = re.compile(r"^WithBacktrace \{ inner: (?P<reason>.*?), backtrace: .*$", re.DOTALL)
_SMALL_BYTES = 1 << 24


def _read_fault(error: BaseException) -> Fault:
    if isinstance(error, MemoryError):
        return Fault("out of memory", is_out_of_memory=True, free_bytes=free_memory_bytes())
    return Fault(_BACKTRACE.sub(r"\g<reason>", str(error)).strip().partition("\n")[0] or type(error).__name__)


translated = ErrorBorder("candle", _read_fault)
"""The border that translates Candle's exceptions."""


def require_memory(size_bytes: int, action: str) -> None:
    """Refuses an allocation that would not fit, as Candle aborts the process when an allocation fails.

    Args:
        size_bytes: The bytes that will be in use at once. Small sizes are not checked with the operating system.
        action: What is being done, as in ``computing minilm``.

    Raises:
        OutOfMemoryError: If fewer bytes are free.
    """
    if size_bytes <= _SMALL_BYTES:
        return
    free_bytes = free_memory_bytes()
    if size_bytes > free_bytes:
        raise OutOfMemoryError(
            f"candle does not have enough memory for {action}: {size_bytes:,} bytes requested, {free_bytes:,} free",
            requested_bytes=size_bytes,
            free_bytes=free_bytes,
        )
