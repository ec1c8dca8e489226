"""The description of a machine on which something was measured, to tell it from others."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version

import psutil

from inferox.machine.processor import processor_instructions, processor_name
from inferox.machine.threads import available_cores


@dataclass(frozen=True)
class Machine:
    """A machine on which something was measured.

    Attributes:
        system: The operating system and the architecture.
        processor: The processor's name.
        instructions: Its instruction sets that decide how fast matrices are multiplied, as far as they are stated.
        cores: The number of cores that the process may use.
        memory_bytes: The machine's total memory.
        python: The version of Python.
        inferox: The version of Inferox.
    """

    system: str
    processor: str
    instructions: tuple[str, ...]
    cores: int
    memory_bytes: int
    python: str
    inferox: str


_LOOK_S = 0.5
"""The time for which the cores are watched, in seconds."""


def busy_cores() -> float:
    """Measures for half a second how many of the cores that this process may use are busy, such as 0.3 of two.

    Call it while this process itself waits: then other programs are what keeps them busy.
    """
    shares = psutil.cpu_percent(interval=_LOOK_S, percpu=True)
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(shares))
    busy: float = sum(share for core, share in enumerate(shares) if core in usable) / 100
    # Where a container's limit is less than the cores it sees, those that it may not use anyway are busy first.
    return max(0.0, busy - (len(usable) - available_cores()))


def this_machine() -> Machine:
    """Describes the machine that this process runs on."""
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        processor=processor_name(),
        instructions=processor_instructions(),
        cores=available_cores(),
        memory_bytes=psutil.virtual_memory().total,
        python=platform.python_version(),
        inferox=version("inferox"),
    )
