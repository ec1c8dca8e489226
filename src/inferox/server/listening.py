"""Ports on which a server listens."""

from __future__ import annotations

import errno
import socket

from inferox.core import ConfigError

_BACKLOG = 2048


def listen(host: str, port: int, *, option: str = "--port") -> socket.socket:
    """Listens on a port, so that nobody else can.

    Args:
        host: The address.
        port: The port; 0 for one that is free.
        option: What a user chooses the port by.

    Raises:
        ConfigError: If that cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        reason = "it is in use" if is_taken else (error.strerror or str(error)).partition(" (while")[0]
        raise ConfigError(
            f"cannot listen on port {port} of {host}: {reason}",
            hint=f"choose another with {option}, or 0 for any that is free" if is_taken else f"see --host and {option}",
        ) from error
