"""The border at which a runtime's exceptions become errors of Inferox."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from inferox.core.closing import Closing
from inferox.core.error_root import InferoxError, first_line
from inferox.core.errors import ExecutionError, LoadError, OutOfMemoryError
from inferox.core.shown_text import counted

_logger = logging.getLogger(__name__)

_PANIC = "PanicException"
"""The name that panics of Rust code have in Python. Each library has a type of its own, a direct ``BaseException``."""


def is_failure(error: BaseException, *, importing: bool = False) -> bool:
    """Returns whether an exception is a failure: any ``Exception``, and a panic of Rust code.

    Others, such as ``KeyboardInterrupt``, are requests to stop.

    Args:
        error: The exception.
        importing: Whether a module was being imported. Then ``SystemExit`` is a failure, as it is of a script that was
            not written to be imported.
    """
    panicked = type(error).__name__ == _PANIC
    return isinstance(error, Exception) or panicked or (importing and isinstance(error, SystemExit))


@dataclass(frozen=True)
class Fault:
    """A runtime's exception, as interpreted by its backend.

    Attributes:
        reason: What went wrong, in one line.
        hint: What the reader can do about it.
        is_out_of_memory: Whether the device did not have enough memory.
        requested_bytes: The bytes that were requested, if the runtime says so.
        free_bytes: The bytes that are free on the device, if known.
    """

    reason: str
    hint: str | None = None
    is_out_of_memory: bool = False
    requested_bytes: int | None = None
    free_bytes: int | None = None


def read_unknown_fault(error: BaseException) -> Fault:
    """Interprets an exception of a runtime whose exceptions are not known.

    Args:
        error: The exception.
    """
    return Fault(
        f"{type(error).__name__}: {first_line(error)}",
        hint="report it to the authors of the backend",
        is_out_of_memory=isinstance(error, MemoryError),
    )


class ErrorBorder:
    """Translates whatever a runtime raises; errors of Inferox and requests to stop pass through.

    Args:
        runtime: The runtime's name.
        read_fault: Interprets an exception of the runtime.
    """

    def __init__(self, runtime: str, read_fault: Callable[[BaseException], Fault] = read_unknown_fault) -> None:
        self._runtime = runtime
        self._read_fault = read_fault

    @contextmanager
    def __call__(self, action: str, *, default: type[ExecutionError | LoadError]) -> Iterator[None]:
        """Translates exceptions raised inside the block; see ``translate``."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - always raises
            self.translate(error, action, default=default)

    def translate(self, error: BaseException, action: str, *, default: type[ExecutionError | LoadError]) -> NoReturn:
        """Raises the error of Inferox for an exception, or the exception itself if it is not the runtime's.

        Args:
            error: The caught exception.
            action: What was being done, as in ``loading minilm`` or ``computing minilm``.
            default: The error for everything except a lack of memory.

        Raises:
            OutOfMemoryError: If the device does not have enough memory.
            LoadError: For every other exception, if it is the default.
            ExecutionError: For every other exception, if it is the default.
        """
        if isinstance(error, InferoxError) or not is_failure(error):
            raise error
        try:
            fault = self._read_fault(error)
        except Exception:  # noqa: BLE001 - it reads the exception's text, which may fail in any way
            fault = read_unknown_fault(error)
        if fault.is_out_of_memory:
            requested, free = fault.requested_bytes, fault.free_bytes
            amounts = [f"{counted(requested, 'byte')} requested"] if requested is not None else []
            amounts += [f"{free} free"] if free is not None else []
            message = f"{self._runtime} does not have enough memory for {action}" + (
                f": {', '.join(amounts)}" if amounts else ""
            )
            raise OutOfMemoryError(message, requested_bytes=requested, free_bytes=free) from error
        raise default(f"{self._runtime} failed while {action}: {fault.reason}", hint=fault.hint) from error


@contextmanager
def closed_on_failure(resource: Closing, subject: str) -> Iterator[None]:
    """Closes a resource if the block fails. A failure to close it is logged, and only a request to stop is raised.

    Args:
        resource: The resource.
        subject: What owns it, such as ``the backend torch``.
    """
    try:
        yield
    except BaseException:
        try:
            with ErrorBorder(subject)("closing what could not be used", default=ExecutionError):
                resource.close()
        except InferoxError as error:
            _logger.warning("%s", first_line(error))
        raise
