"""Bytes of which a seeded random generator changes a few."""

from __future__ import annotations

import random
from collections.abc import Sequence

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_WIDTHS = (1, 2, 4, 8)


def change_bytes(content: bytes, spots: Sequence[int], choice: random.Random) -> bytes:
    """Changes one to four numbers of a file, or cuts, repeats or removes a part.

    Args:
        content: The file.
        spots: The offsets of the changes.
        choice: The random generator.
    """
    changed = bytearray(content)
    for _ in range(choice.choice((1, 1, 1, 2, 4))):
        _change_once(changed, choice.choice(spots), choice)
    return bytes(changed)


def _change_once(changed: bytearray, spot: int, choice: random.Random) -> None:
    kind = choice.random()
    if kind < 0.3:
        changed[spot : spot + 1] = bytes([choice.randrange(256)])
    elif kind < 0.5 and spot < len(changed):
        changed[spot] ^= 1 << choice.randrange(8)
    elif kind < 0.8:
        width = choice.choice(_WIDTHS)
        value = choice.choice(_EXTREMES) % (1 << 8 * width)
        changed[spot : spot + width] = value.to_bytes(width, choice.choice(("little", "big")))
    elif kind < 0.9:
        end = len(changed) if choice.random() < 0.5 else spot + choice.randrange(1, 40)
        del changed[spot:end]
    else:
        width = choice.randrange(1, 40)
        changed[spot:spot] = changed[spot : spot + width] * choice.choice((1, 1, 50))
