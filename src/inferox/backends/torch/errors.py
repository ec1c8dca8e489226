"""The one border at which PyTorch's exceptions become ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from inferox.backends.host import free_memory_bytes
from inferox.core import BackendError, ExecutionError, InferoxError, LoadError, OutOfMemoryError

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
"""What PyTorch says, mostly in a bare ``RuntimeError``, when the CPU, the driver or a CUDA library lacks memory."""

_NAMED = 5


@contextmanager
def translated(action: str, *, default: type[ExecutionError | LoadError]) -> Iterator[None]:
    """Turns whatever PyTorch, or a model's own code, raises inside the block into one of our errors.

    Our own errors pass through as they are, and so do requests to stop, such as ``KeyboardInterrupt``.

    Args:
        action: What is being done, as in ``loading minilm`` or ``computing minilm``.
        default: The error for everything but a lack of memory.

    Raises:
        OutOfMemoryError: If the device has too little memory. The sizes are the ones that PyTorch states, which it
            rounds for GPUs.
        LoadError: Where that is the default, for every other exception.
        ExecutionError: Where that is the default, for every other exception.
    """
    try:
        yield
    except InferoxError:
        raise
    except Exception as error:
        raise _translate(error, action, default) from error


def listed(names: Sequence[str]) -> str:
    """The first few of many names, and how many more there are, for a sentence that is to stay readable."""
    return ", ".join(names[:_NAMED]) + (f", and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _translate(error: Exception, action: str, default: type[ExecutionError | LoadError]) -> BackendError:
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(text)
    ):
        return _out_of_memory(text, action)
    hint = None
    if isinstance(error, ModuleNotFoundError):
        hint = f"install the package that has {error.name}"
    if isinstance(error, torch.AcceleratorError):
        hint = "after such an error the process cannot use the GPU any more: restart it"
    return default(f"torch failed while {action}: {_sentence(error)}", hint=hint)


def _out_of_memory(text: str, action: str) -> OutOfMemoryError:
    requested, free = _size(_REQUESTED.search(text)), _free(text)
    amounts = [f"{requested} bytes asked"] if requested is not None else []
    amounts += [f"{free} free"] if free is not None else []
    message = f"torch has too little memory for {action}" + (f": {', '.join(amounts)}" if amounts else "")
    return OutOfMemoryError(message, requested_bytes=requested, free_bytes=free)


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


def _sentence(error: Exception) -> str:
    """The line of an exception that says what went wrong, without the C++ frames and advice that follow it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    # TorchScript puts its own traceback first and the reason last.
    line = lines[-1] if "TorchScript interpreter" in lines[0] else lines[0]
    if line.endswith(":") and len(lines) > 1:
        line = f"{line} {lines[1]}"
    line = line.removeprefix("RuntimeError: ").rstrip(". ")
    return line if type(error) is RuntimeError else f"{type(error).__name__}: {line}"
