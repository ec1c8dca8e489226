"""The size limit of the store."""

from __future__ import annotations

import os
import re

from inferox.core import ConfigError, shown

STORE_LIMIT_VARIABLE = "INFEROX_STORE_LIMIT"
"""The environment variable that limits the store."""

DEFAULT_LIMIT_BYTES = 50 * 1000**3
"""The size limit of the store where no other is set."""

_NO_LIMIT = "none"
_SIZE = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?) ?(?P<unit>[KMGT]?i?B)?", re.ASCII | re.IGNORECASE)
_UNITS = {"b": 1} | {
    f"{letter}{form}": step**power
    for power, letter in enumerate("kmgt", 1)
    for form, step in (("b", 1000), ("ib", 1024))
}


def stated_limit() -> int | None:
    """Returns the limit of the store in bytes, from the environment; ``None`` for no limit.

    Raises:
        ConfigError: If the variable is not a size.
    """
    text = os.environ.get(STORE_LIMIT_VARIABLE, "").strip()
    if not text:
        return DEFAULT_LIMIT_BYTES
    return None if text.lower() == _NO_LIMIT else parse_size(text, STORE_LIMIT_VARIABLE)


def parse_size(text: str, where: str) -> int:
    """Parses a size such as ``20 GB``, ``1.5GiB``, or ``1000`` in bytes.

    Args:
        text: The size.
        where: The place that states it, for the error.

    Raises:
        ConfigError: If it is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    factor = None if match is None else _UNITS.get((match["unit"] or "B").lower())
    if match is None or factor is None:
        raise ConfigError(
            f"{where} must be a size, but is {shown(text)}",
            hint="state a number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 20GB",
        )
    return int(float(match["number"]) * factor)
