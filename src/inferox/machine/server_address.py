"""The address of a server, as callers write it."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from inferox.core import ConfigError

PORTS = {"http": 80, "https": 443}
"""The port of an address that names none, by its scheme."""


def parse_server_address(url: str) -> SplitResult:
    """Reads the address of a server.

    Args:
        url: ``http://HOST:PORT`` or ``https://…``, perhaps with a path before the server's own.

    Raises:
        ConfigError: If it is none.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # which is only now refused where it is no number
        is_address = parts.scheme in PORTS and bool(parts.hostname)
    except ValueError:
        is_address = False
    if not is_address or parts.query or parts.fragment:
        raise ConfigError(f"the address of a server must be http://HOST:PORT or https://HOST:PORT, but is {url!r}")
    return parts
