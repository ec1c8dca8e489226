"""The one border at which foreign exceptions become Inferox's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from inferox.core import ExecutionError, InferoxError, LoadError, OutOfMemoryError


@contextmanager
def translated(action: str, *, default: type[ExecutionError | LoadError]) -> Iterator[None]:
    """Turns whatever is raised inside the block into one of Inferox's errors.

    Args:
        action: What is being done, as in ``loading mlp``.
        default: The error for everything but a lack of memory.
    """
    try:
        yield
    except InferoxError:
        raise
    except MemoryError as error:
        message = f"scipy has too little memory for {action}"
        raise OutOfMemoryError(message, requested_bytes=None, free_bytes=None) from error
    except Exception as error:
        raise default(f"scipy failed while {action}: {type(error).__name__}: {error}") from error
