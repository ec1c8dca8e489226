"""Listening sockets of a server."""

from __future__ import annotations

import errno
import socket

from inferox.core import ConfigError

_BACKLOG = 2048


def listen(host: str, port: int, *, option: str = "--port") -> socket.socket:
    """Opens a listening socket, so that no other process can use the port.

    Args:
        host: The address.
        port: The port; 0 for a free one.
        option: The command-line option that chooses the port, for errors.

    Raises:
        ConfigError: If the server cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, ValueError, TypeError) as error:  # not every text can be the name of a host
        is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        said = (error.strerror if isinstance(error, OSError) else None) or str(error)
        reason = "it is in use" if is_taken else said.partition(" (while")[0]
        raise ConfigError(
            f"cannot listen on port {port} of {host}: {reason}",
            hint=f"choose another with {option}, or 0 for any that is free" if is_taken else f"see --host and {option}",
        ) from error
