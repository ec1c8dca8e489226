"""The border at which PyTorch's exceptions become Inferox's."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from inferox.backends.host import free_memory_bytes
from inferox.core import ErrorBorder, Fault

_SIZE = r"(?P<{name}>[\d.]+) ?(?P<{name}_unit>bytes|KiB|MiB|GiB)"
_REQUESTED = re.compile(r"tried to allocate " + _SIZE.format(name="size"), re.IGNORECASE)
_FREE = re.compile(r"of which " + _SIZE.format(name="size") + " is free")
_MPS_USE = re.compile(
    r"MPS allocated: " + _SIZE.format(name="own")
    + r", other allocations: " + _SIZE.format(name="other")
    + r", max allowed: " + _SIZE.format(name="limit")
)  # fmt: skip
_UNIT_BYTES = {"bytes": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}

_OUT_OF_MEMORY = re.compile(
    r"DefaultCPUAllocator: (can't allocate|not enough) memory"
    r"|out of memory"
    r"|STATUS_ALLOC_FAILED"
    r"|Storage size calculation overflowed",
    re.IGNORECASE,
)
"""PyTorch's messages, mostly in a bare ``RuntimeError``, if the CPU, the driver or a CUDA library lacks memory."""

_REASON = "RuntimeError: "
"""The beginning of the line with the reason in the errors of TorchScript."""

_NAMED = 5


def listed(names: Sequence[str]) -> str:
    """Formats the first few of many names and the number of others, so that a sentence stays readable."""
    return ", ".join(names[:_NAMED]) + (f", and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _read_fault(error: BaseException) -> Fault:
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(text)
    ):
        # PyTorch rounds the sizes that it reports for GPUs.
        requested = _size(_REQUESTED.search(text))
        return Fault(text, is_out_of_memory=True, requested_bytes=requested, free_bytes=_free(text))
    hint = None
    if isinstance(error, ModuleNotFoundError):
        hint = f"install the package that has {error.name}"
    if isinstance(error, torch.AcceleratorError):
        hint = "after such an error the process cannot use the GPU any more: restart it"
    return Fault(_sentence(error), hint=hint)


def _free(text: str) -> int | None:
    if "DefaultCPUAllocator" in text:
        return free_memory_bytes()
    mps = _MPS_USE.search(text)
    if mps is not None:
        used = sum(_size(mps, name) or 0 for name in ("own", "other"))
        return max((_size(mps, "limit") or 0) - used, 0)
    return _size(_FREE.search(text))


def _size(match: re.Match[str] | None, name: str = "size") -> int | None:
    return None if match is None else int(float(match[name]) * _UNIT_BYTES[match[f"{name}_unit"].lower()])


def _sentence(error: BaseException) -> str:
    """Extracts the line of an exception that states what went wrong, without the C++ frames and advice after it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    line = lines[0]
    if "TorchScript interpreter" in line:
        # Its own traceback comes first, then the reason, and that of an operator written in Python last.
        line = next((reason for reason in lines if reason.startswith(_REASON)), lines[-1])
    if line.endswith(":") and len(lines) > 1:
        line = f"{line} {lines[1]}"
    line = line.removeprefix(_REASON).rstrip(". ")
    return line if type(error) is RuntimeError else f"{type(error).__name__}: {line}"


translated = ErrorBorder("torch", _read_fault)
"""The border that translates the exceptions of PyTorch and of a model's own code."""
