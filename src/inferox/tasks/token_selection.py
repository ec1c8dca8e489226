"""The selection of the tokens that stay when a text or pair has more than the model takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def select_tokens(sequences: Sequence[int | None], max_length: int, side: str) -> npt.NDArray[np.bool_]:
    """Chooses the tokens that stay when a text or pair is cut.

    The tokenizers library can cut too, but it also builds every combination of the pieces that it cuts off a pair,
    which exhausts the memory for two long texts.

    Args:
        sequences: For each token, the text that it belongs to: 0 or 1; ``None`` for special tokens, which all stay.
        max_length: The most tokens that may stay.
        side: The side on which a text is cut: ``right`` or ``left``.

    Returns:
        Whether each token stays; shape ``[tokens]``, bool.
    """
    owners = np.array([-1 if sequence is None else sequence for sequence in sequences])
    places = [np.nonzero(owners == sequence)[0] for sequence in (0, 1)]
    room = max(0, max_length - int((owners == -1).sum()))
    kept: npt.NDArray[np.bool_] = owners == -1
    for place, count in zip(places, _share(room, len(places[0]), len(places[1])), strict=True):
        kept[place[:count] if side == "right" else place[len(place) - count :]] = True
    return kept


def _share(room: int, first: int, second: int) -> tuple[int, int]:
    """Divides the room between two texts: the longer one is cut first, and gets the odd token."""
    short, long = min(first, second), max(first, second)
    if short + long > room:
        long = max(short, room - short)
        if short + long > room:
            short, long = room // 2, room - room // 2
    return (short, long) if first <= second else (long, short)
