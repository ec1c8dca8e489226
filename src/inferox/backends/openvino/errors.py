"""The one border at which OpenVINO's exceptions become ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from inferox.backends.host import free_memory_bytes
from inferox.core import ExecutionError, InferoxError, LoadError, OutOfMemoryError

CHECK_PREFIX = "inferox check: "
"""What the names of nodes that check something in a graph begin with; what is wrong follows."""

_OUT_OF_MEMORY = re.compile(r"bad_alloc|bad allocation|out of memory|std::length_error|Cannot allocate", re.IGNORECASE)
_NODE = re.compile(r"^While validating ONNX node '[^']*': ")
_FRAME = re.compile(
    r"^(Exception from |Check '.*' failed at |FrontEnd API failed with |(Loading|Converting) input model$|"
    r"Model wasn't fully converted|-- .* with a message:$|While validating node '.*:$|\[ ?\w+ ?\]$)"
)
_CHECK = re.compile(rf"^Node {CHECK_PREFIX}(?P<told>.*) of type \w+$", re.MULTILINE)
"""How OpenVINO names the node of a check of ours that failed."""

_SUMMARY = "-- Conversion is failed for"


@contextmanager
def translated(action: str, *, default: type[ExecutionError | LoadError]) -> Iterator[None]:
    """Turns whatever OpenVINO raises inside the block into one of our errors, which pass through as they are.

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
        if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
            raise OutOfMemoryError(
                f"openvino has too little memory for {action}", requested_bytes=None, free_bytes=free_memory_bytes()
            ) from error
        raise default(f"openvino failed while {action}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The line of an exception that says what went wrong, without the places in OpenVINO's own code."""
    check = _CHECK.search(str(error))
    if check is not None:
        return check["told"]
    lines = [_NODE.sub("", line.strip()) for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not _FRAME.match(line)]
    # A summary of what is wrong comes as a list.
    listed = [line.removeprefix("-- ") for line in told if line.startswith("-- ") and not line.startswith(_SUMMARY)]
    return (listed or told or lines or [type(error).__name__])[0].rstrip(". ")
