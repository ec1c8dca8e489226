"""The metadata of gRPC calls, which are their headers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from inferox.server.api_keys import read_presented_key


def read_metadata(pairs: Iterable[tuple[str, str | bytes]] | None) -> dict[str, str]:
    """Returns the metadata of a call by name, without binary values.

    Args:
        pairs: The names and values, as gRPC has them; ``None`` for no metadata.
    """
    found: dict[str, str] = {}
    for name, value in pairs or ():
        if isinstance(value, str):
            # As with HTTP headers: a long state may be split, and a repeated name must not hide the earlier value.
            found[name] = f"{found[name]},{value}" if name in found else value
    return found


def read_api_key(metadata: Mapping[str, str]) -> bytes | None:
    """Returns the API key of a call; ``None`` if it has none.

    Args:
        metadata: Its metadata.
    """
    return read_presented_key({name.encode(): value.encode() for name, value in metadata.items()})
