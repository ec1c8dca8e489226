"""The address of a server, as callers write it."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, quote, urlsplit

from inferox.core import ConfigError

PORTS = {"http": 80, "https": 443}
"""The default port of each scheme."""

_HOST = re.compile(r"\[[0-9A-Za-z.:%_-]+\]|[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)*\.?")
_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]+://")  # of one letter it would be a drive of Windows
_USER_SAFE = "%:!$&'()*+,;=~"


def parse_server_address(url: str) -> SplitResult:
    """Parses the address of a server.

    Args:
        url: ``http://HOST:PORT`` or ``https://…``, optionally with a path prefix.

    Returns:
        Its parts in ASCII: other letters are encoded as browsers send them (``%C3%A9``, ``xn--…``).

    Raises:
        ConfigError: If it is not the address of a server.
    """
    found = _split(url) if isinstance(url, str) else None
    if found is None:
        raise ConfigError(f"the address of a server must be http://HOST:PORT or https://HOST:PORT, but is {url!r}")
    return found


def is_server_address(text: str) -> bool:
    """Returns whether a text is meant as a server address, valid or not, rather than as a file path.

    One with an unsupported scheme counts as well: ``parse_server_address`` refuses it and names the supported ones.

    Args:
        text: The text.
    """
    return _SCHEME.match(text) is not None


def _split(url: str) -> SplitResult | None:
    """Splits an address into its parts; ``None`` if it is not one."""
    try:
        parts = urlsplit(url)
        host = _to_ascii(parts.hostname or "")
        port = "" if parts.port is None else f":{parts.port}"
        path = quote(parts.path, safe="/%:@!$&'()*+,;=~")
    except ValueError:  # ports that are not numbers, and hosts without an ASCII form
        return None
    if parts.scheme not in PORTS or _HOST.fullmatch(host) is None or parts.port == 0 or parts.query or parts.fragment:
        return None
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{quote(user, safe=_USER_SAFE)}{at}{host}{port}", path=path)


def _to_ascii(host: str) -> str:
    if ":" in host:
        ip_address(host.partition("%")[0])
        return f"[{host}]"
    return host if host.isascii() else host.encode("idna").decode()
