"""The process of an isolated command: ``python -P -m inferox.cli.isolated_process MEMORY_BYTES NETWORK WORD…``."""

from __future__ import annotations

import sys

from inferox.cli.isolation import NO_NETWORK
from inferox.cli.main import main
from inferox.machine.network import deny_sockets
from inferox.machine.processes import end_with_parent


def limit_process(memory_bytes: int) -> None:
    """Limits the memory of this process, and disables core dumps, if the system supports that.

    Args:
        memory_bytes: The most private memory. Files mapped for reading do not count.
    """
    try:
        import resource
    except ImportError:  # Windows has other means, for which Python has no module
        return
    # The address space is not a useful measure: runtimes reserve far more of it than they use.
    for limit, value in ((resource.RLIMIT_DATA, memory_bytes), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(limit)
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (lower, lower))


if __name__ == "__main__":
    end_with_parent()
    limit_process(int(sys.argv[1]))
    if sys.argv[2] == NO_NETWORK:
        deny_sockets()  # if the system supports it
    main(sys.argv[3:])
