"""The border at which a runtime's exceptions become errors of Inferox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from inferox.core.error_root import InferoxError, first_line
from inferox.core.errors import ExecutionError, LoadError, OutOfMemoryError
from inferox.core.shown_text import counted


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
        panics: The names of the direct ``BaseException`` types that its native code's failures have. Other such
            types, such as ``KeyboardInterrupt``, are requests to stop and pass through.
    """

    def __init__(
        self,
        runtime: str,
        read_fault: Callable[[BaseException], Fault] = read_unknown_fault,
        *,
        panics: tuple[str, ...] = (),
    ) -> None:
        self._runtime = runtime
        self._read_fault = read_fault
        self._panics = panics

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
        is_failure = isinstance(error, Exception) or type(error).__name__ in self._panics
        if isinstance(error, InferoxError) or not is_failure:
            raise error
        fault = self._read_fault(error)
        if fault.is_out_of_memory:
            requested, free = fault.requested_bytes, fault.free_bytes
            amounts = [f"{counted(requested, 'byte')} requested"] if requested is not None else []
            amounts += [f"{free} free"] if free is not None else []
            message = f"{self._runtime} does not have enough memory for {action}" + (
                f": {', '.join(amounts)}" if amounts else ""
            )
            raise OutOfMemoryError(message, requested_bytes=requested, free_bytes=free) from error
        raise default(f"{self._runtime} failed while {action}: {fault.reason}", hint=fault.hint) from error
