"""The machine on which something was measured, in words that tell it from others."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

from inferox.core import available_cores

_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """Where something was measured.

    Attributes:
        system: The operating system and the architecture.
        processor: The processor's name.
        cores: How many cores the process may use.
        memory_bytes: All of the machine's memory.
        python: The version of Python.
        inferox: The version of Inferox.
    """

    system: str
    processor: str
    cores: int
    memory_bytes: int
    python: str
    inferox: str


def this_machine() -> Machine:
    """Describes the machine that this process runs on."""
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        processor=_processor(),
        cores=available_cores(),
        memory_bytes=psutil.virtual_memory().total,
        python=platform.python_version(),
        inferox=version("inferox"),
    )


def _processor() -> str:
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
