"""The border at which OpenVINO's exceptions become Inferox's."""

from __future__ import annotations

import re

from inferox.backends.host import free_memory_bytes
from inferox.core import ErrorBorder, Fault

CHECK_PREFIX = "inferox check: "
"""The prefix of the names of check nodes in a graph; the fault follows it."""

_OUT_OF_MEMORY = re.compile(r"bad_alloc|bad allocation|out of memory|std::length_error|Cannot allocate", re.IGNORECASE)
_NODE = re.compile(r"^While validating ONNX node '[^']*': ")
_FRAME = re.compile(
    r"^(Exception from |Check '.*' failed at |FrontEnd API failed with |(Loading|Converting) input model$|"
    r"Model wasn't fully converted|-- .* with a message:$|While validating node '.*:$|\[ ?\w+ ?\]$)"
)
_CHECK = re.compile(rf"^Node {CHECK_PREFIX}(?P<told>.*) of type \w+$", re.MULTILINE)
"""The pattern by which OpenVINO names the node of a failed check of Inferox."""

_SUMMARY = "-- Conversion is failed for"


def _read_fault(error: BaseException) -> Fault:
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
        return Fault(str(error), is_out_of_memory=True, free_bytes=free_memory_bytes())
    return Fault(_reason(error))


def _reason(error: BaseException) -> str:
    """Extracts the line of an exception that states what went wrong, without locations in OpenVINO's own code."""
    check = _CHECK.search(str(error))
    if check is not None:
        return check["told"]
    lines = [_NODE.sub("", line.strip()) for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not _FRAME.match(line)]
    # A summary of the faults is formatted as a list.
    listed = [line.removeprefix("-- ") for line in told if line.startswith("-- ") and not line.startswith(_SUMMARY)]
    return (listed or told or lines or [type(error).__name__])[0].rstrip(". ")


translated = ErrorBorder("openvino", _read_fault)
"""The border that translates OpenVINO's exceptions."""
