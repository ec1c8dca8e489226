"""The one border at which Candle's exceptions become ours, and what keeps it from ending the process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from inferox.backends.host import free_memory_bytes
from inferox.core import ExecutionError, InferoxError, LoadError, OutOfMemoryError

_BACKTRACE = re.compile(r"^WithBacktrace \{ inner: (?P<reason>.*?), backtrace: .*$", re.DOTALL)
_PANIC = "PanicException"
_SMALL_BYTES = 1 << 24


@contextmanager
def translated(action: str, *, default: type[ExecutionError | LoadError]) -> Iterator[None]:
    """Turns whatever Candle raises inside the block into one of our errors, which pass through as they are.

    A panic of its Rust code comes as a ``BaseException``, which no caller expects. Requests to stop, such as
    ``KeyboardInterrupt``, are of that kind too, and pass through.

    Args:
        action: What is being done, as in ``loading minilm``.
        default: The error for everything but a lack of memory.

    Raises:
        OutOfMemoryError: If there is too little memory.
        LoadError: Where that is the default, for every other exception.
        ExecutionError: Where that is the default, for every other exception.
    """
    try:
        yield
    except InferoxError:
        raise
    except MemoryError as error:
        raise OutOfMemoryError(
            f"candle has too little memory for {action}", requested_bytes=None, free_bytes=free_memory_bytes()
        ) from error
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise
        reason = _BACKTRACE.sub(r"\g<reason>", str(error)).strip().partition("\n")[0] or type(error).__name__
        raise default(f"candle failed while {action}: {reason}") from error


def require_memory(size_bytes: int, action: str) -> None:
    """Refuses what would not fit: Candle ends the process when an allocation fails.

    Args:
        size_bytes: The bytes that will be in use at once. A few are not worth asking the operating system.
        action: What is being done, as in ``computing minilm``.

    Raises:
        OutOfMemoryError: If there are fewer free.
    """
    if size_bytes <= _SMALL_BYTES:
        return
    free_bytes = free_memory_bytes()
    if size_bytes > free_bytes:
        raise OutOfMemoryError(
            f"candle has too little memory for {action}: {size_bytes} bytes asked, {free_bytes} free",
            requested_bytes=size_bytes,
            free_bytes=free_bytes,
        )
