"""The border at which SciPy's exceptions become Inferox's."""

from __future__ import annotations

from inferox.core import ErrorBorder, Fault, first_line


def _read_fault(error: BaseException) -> Fault:
    return Fault(f"{type(error).__name__}: {first_line(error)}", is_out_of_memory=isinstance(error, MemoryError))


translated = ErrorBorder("scipy", _read_fault)
"""Translates exceptions that SciPy raises inside a block."""
