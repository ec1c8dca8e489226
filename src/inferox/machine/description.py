"""The description of a machine on which something was measured, to tell it from others."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version

import psutil

from inferox.machine.processor import processor_name
from inferox.machine.threads import available_cores


@dataclass(frozen=True)
class Machine:
    """A machine on which something was measured.

    Attributes:
        system: The operating system and the architecture.
        processor: The processor's name.
        cores: The number of cores that the process may use.
        memory_bytes: The machine's total memory.
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
        processor=processor_name(),
        cores=available_cores(),
        memory_bytes=psutil.virtual_memory().total,
        python=platform.python_version(),
        inferox=version("inferox"),
    )
