"""The border at which ONNX Runtime's exceptions become Inferox's."""

from __future__ import annotations

import re

from inferox.backends.host import free_memory_bytes
from inferox.core import ErrorBorder, Fault

_ALLOCATION = re.compile(r"Failed to allocate memory for requested buffer of size (?P<size>\d+)")
_STATUS = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
_PLACE = re.compile(r"\s*/\S*onnxruntime/\S+\.(?:cc|h):\d+ [^()]*\([^()]*\)(?: const)? ")
"""The pattern of a source line of ONNX Runtime, with the signature of its function."""


def _read_fault(error: BaseException) -> Fault:
    text = str(error)
    allocation = _ALLOCATION.search(text)
    if allocation is not None or isinstance(error, MemoryError):
        requested = int(allocation["size"]) if allocation else None
        return Fault(text, is_out_of_memory=True, requested_bytes=requested, free_bytes=free_memory_bytes())
    return Fault(_PLACE.sub(" ", _STATUS.sub("", text)).strip().partition("\n")[0] or type(error).__name__)


translated = ErrorBorder("onnxruntime", _read_fault)
"""The border that translates ONNX Runtime's exceptions."""
