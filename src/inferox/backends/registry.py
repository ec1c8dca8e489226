"""The registry of backends: built-in and third-party ones are registered in the same way, by entry point."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from inferox.core import (
    Availability,
    Backend,
    BackendNotFoundError,
    BackendUnavailableError,
    first_line,
    is_failure,
)

ENTRY_POINT_GROUP = "inferox.backends"
"""The group of entry points that register backends: a name, and a ``Backend`` class or a function that makes one."""


def backend_names() -> tuple[str, ...]:
    """Lists the names of all registered backends, in alphabetical order."""
    return tuple(sorted(_registered()))


@cache
def get_backend(name: str) -> Backend:
    """Makes a backend, without importing its runtime.

    Args:
        name: A registered name, such as ``torch``.

    Raises:
        BackendNotFoundError: If no backend of that name is registered.
        BackendUnavailableError: If the registered object cannot be imported or made.
    """
    registered = _registered()
    if name not in registered:
        raise BackendNotFoundError(name, tuple(registered))
    try:
        backend = registered[name].load()()
    except BaseException as error:
        if not is_failure(error, importing=True):
            raise
        raise BackendUnavailableError(
            f"the backend {name} is registered as {registered[name].value!r} and cannot be made: "
            f"{type(error).__name__}: {first_line(error)}",
            hint="reinstall or remove the distribution that registers it",
        ) from error
    if not isinstance(backend, Backend):
        raise BackendUnavailableError(f"{registered[name].value!r}, registered as {name}, is not a backend")
    return backend


def probe_backend(name: str) -> Availability:
    """Probes whether a registered backend can run here. A broken distribution is reported rather than raised.

    Args:
        name: A registered name.

    Raises:
        BackendNotFoundError: If no backend of that name is registered.
    """
    try:
        return get_backend(name).find_availability()
    except BackendUnavailableError as error:
        return Availability(reason=error.message, hint=error.hint)


@cache
def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
