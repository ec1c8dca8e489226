"""The process of an isolated command: ``python -P -m inferox.cli.isolated_process MEMORY_BYTES NETWORK WORD…``."""

from __future__ import annotations

import sys

from inferox.cli.isolation import NO_NETWORK
from inferox.cli.main import main
from inferox.machine.network import deny_sockets
from inferox.machine.processes import end_with_parent


def limit_process(memory_bytes: int) -> None:
    """Limits this process where the system can: its memory, and that a crash leaves no core file.

    Args:
        memory_bytes: The most private memory that it may have. Files that it maps for reading are not counted.
    """
    try:
        import resource
    except ImportError:  # Windows has other means, which Python does not bring
        return
    # The address space is not a measure: runtimes reserve much more of it than they use.
    for limit, value in ((resource.RLIMIT_DATA, memory_bytes), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(limit)
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (lower, lower))


if __name__ == "__main__":
    end_with_parent()
    limit_process(int(sys.argv[1]))
    if sys.argv[2] == NO_NETWORK:
        deny_sockets()  # where the system can
    main(sys.argv[3:])
