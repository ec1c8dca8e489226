"""The conditions under which a measurement holds: the machine, and the versions of the runtimes."""

from __future__ import annotations

import platform
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from inferox.core import counted
from inferox.machine import available_cores
from inferox.machine.processor import processor_facts

_DISTRIBUTIONS = {"candle": "candle-nn"}
"""The distributions of runtimes whose names differ. They could be found without this table, but only by reading the
names of everything that is installed, which takes time."""


@cache
def runtime_version(backend: str) -> str:
    """Returns the version of a backend's runtime without importing it; ``none`` if it is not installed."""
    try:
        return version(_DISTRIBUTIONS.get(backend, backend))
    except PackageNotFoundError:
        return next((version(name) for name in packages_distributions().get(backend, ())), "none")


def machine_name() -> str:
    """Returns the facts that decide how fast an artifact is here: the system, the processor, and the usable cores."""
    return f"{platform.system()} {platform.machine()}, {_processor()}, {counted(available_cores(), 'core')}"


def _processor() -> str:
    """Returns the processor's name."""
    stated = processor_facts()
    if not stated:
        return platform.processor() or "unknown processor"
    model = stated.get("model name", platform.processor() or "unknown processor")
    # Virtual machines hide the name, but not the processor's features.
    abilities = sha256(stated.get("flags", stated.get("Features", "")).encode()).hexdigest()[:8]
    return f"{model} ({abilities})"
