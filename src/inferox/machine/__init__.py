"""What this machine is and allows: cores, memory, the processor, and the thread budget."""

from inferox.machine.threads import available_cores, limit_rayon, resolve_threads, threads_text

__all__ = [
    "available_cores",
    "limit_rayon",
    "resolve_threads",
    "threads_text",
]
