"""The one border at which ONNX Runtime's exceptions become ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from inferox.backends.host import free_memory_bytes
from inferox.core import ExecutionError, InferoxError, LoadError, OutOfMemoryError

_ALLOCATION = re.compile(r"Failed to allocate memory for requested buffer of size (?P<size>\d+)")
_STATUS = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
_PLACE = re.compile(r"\s*/\S*onnxruntime/\S+\.(?:cc|h):\d+ [^()]*\([^()]*\)(?: const)? ")
"""A line of ONNX Runtime's own code, with the signature of its function."""


@contextmanager
def translated(action: str, *, default: type[ExecutionError | LoadError]) -> Iterator[None]:
    """Turns whatever ONNX Runtime raises inside the block into one of our errors, which pass through as they are.

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
    except Exception as error:
        text = str(error)
        allocation = _ALLOCATION.search(text)
        if allocation is not None or isinstance(error, MemoryError):
            raise OutOfMemoryError(
                f"onnxruntime has too little memory for {action}",
                requested_bytes=int(allocation["size"]) if allocation else None,
                free_bytes=free_memory_bytes(),
            ) from error
        reason = _PLACE.sub(" ", _STATUS.sub("", text)).strip().partition("\n")[0] or type(error).__name__
        raise default(f"onnxruntime failed while {action}: {reason}") from error
