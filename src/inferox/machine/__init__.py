"""Facts and limits of this machine: cores, memory, the processor, and the thread budget."""

from inferox.machine.cgroup import MemoryGauge, MemoryLimit
from inferox.machine.processor import BF16_FLAGS, processor_flags, processor_name
from inferox.machine.threads import available_cores, limit_rayon, most_threads, resolve_threads, threads_text

__all__ = [
    "BF16_FLAGS",
    "MemoryGauge",
    "MemoryLimit",
    "available_cores",
    "limit_rayon",
    "most_threads",
    "processor_flags",
    "processor_name",
    "resolve_threads",
    "threads_text",
]
