"""The exit code for each kind of error."""

from __future__ import annotations

from inferox.core import (
    BackendNotFoundError,
    BackendUnavailableError,
    ConfigError,
    LoadError,
    NoUsableBackendError,
    PackageError,
    RequestError,
    UnsupportedDTypeError,
)

EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (ConfigError, 2),
    (PackageError, 3),
    (LoadError, 3),
    (RequestError, 4),
    (BackendNotFoundError, 5),
    (BackendUnavailableError, 5),
    (NoUsableBackendError, 5),
    (UnsupportedDTypeError, 5),
)
"""The first row whose class an error is an instance of applies; without one, the exit code is 1."""


def exit_code_of(error: Exception) -> int:
    """Returns the exit code of an error.

    Args:
        error: The error that ended the command.

    Returns:
        2 for wrong usage, 3 for a bad package or model, 4 for bad input, 5 if no backend is usable, otherwise 1.
    """
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
