"""The early cut of long texts before tokenisation, where that is known not to change any token that stays."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding

from inferox.tasks.cut_rule import CutRule, Removed
from inferox.tasks.texts import Text

MIN_WINDOW_CHARACTERS = 8192
"""The fewest characters to which a long text is cut before it is tokenised. Texts of up to twice that are never cut
early, so that all their tokens are counted."""

_WINDOW_PER_TOKEN = 16
"""The number of characters tokenised at first for each token that may stay."""

_MARGIN_PIECES = 8
"""The pieces next to a cut whose tokens are not used. A cut changes at most three: that in which it lies, and those
before it that a pattern would have divided in another way, such as white space, or capital letters."""

_GROWTH = 8
"""The factor by which the window grows if it gave too few tokens. If the larger one does too, all is tokenised: a text
that is one long piece would otherwise take much longer than without windows."""

Encode = Callable[[Sequence[Text]], list[Encoding]]


@dataclass(frozen=True)
class CutEncoding:
    """The tokens of a text or pair, of which one may have been cut early.

    Attributes:
        encoding: The tokens: all of them, or those at one end of a text that was cut.
        is_whole: Whether it has all tokens.
        surplus: The number of tokens next to the cut that may not be tokens of the whole text.
        removed: What was left out of each text before it was tokenised.
    """

    encoding: Encoding
    is_whole: bool = True
    surplus: int = 0
    removed: tuple[Removed, ...] = ()


def may_be_cut(texts: Sequence[Text]) -> bool:
    """Returns whether any text is long enough to be cut before it is tokenised; see ``encode_cut``.

    Args:
        texts: The texts or pairs.
    """
    most = 2 * MIN_WINDOW_CHARACTERS
    return any(len(text) > most if isinstance(text, str) else max(map(len, text)) > most for text in texts)


def encode_cut(
    encode: Encode, encode_with_words: Encode, texts: Sequence[Text], max_length: int, rule: CutRule
) -> list[CutEncoding]:
    """Tokenises only as much of each text as determines the tokens that stay.

    At most one text of a pair is cut: if both are long, all tokens are needed to tell which text has more.

    Args:
        encode: Tokenises texts.
        encode_with_words: Tokenises texts and states the word of each token.
        texts: The texts or pairs.
        max_length: The most tokens that stay of each.
        rule: Where texts may be cut.

    Returns:
        The tokens of each text or pair.
    """
    found: list[CutEncoding | None] = [None] * len(texts)
    window = max(MIN_WINDOW_CHARACTERS, _WINDOW_PER_TOKEN * max_length)
    for size in (window, window * _GROWTH, sys.maxsize):
        pending = [index for index, item in enumerate(found) if item is None]
        made = [(index, cut) for index in pending if (cut := _cut(texts[index], size, rule)) is not None]
        whole = [(index, cut) for index, cut in made if cut.sequence is None]
        for (index, cut), encoding in zip(whole, encode([cut.text for _, cut in whole]), strict=True):
            found[index] = CutEncoding(encoding, removed=cut.removed)
        parts = [(index, cut) for index, cut in made if cut.sequence is not None]
        for (index, cut), encoding in zip(parts, encode_with_words([cut.text for _, cut in parts]), strict=True):
            owners = encoding.sequence_ids
            own = owners.count(cut.sequence)
            surplus = _count_surplus(encoding, owners, cut.sequence, rule.side)
            if own - surplus > max(max_length, len(owners) - owners.count(None) - own):
                found[index] = CutEncoding(encoding, is_whole=False, surplus=surplus, removed=cut.removed)
    return [item for item in found if item is not None]


def _count_surplus(encoding: Encoding, owners: Sequence[int | None], sequence: int | None, side: str) -> int:
    """Counts the tokens of the cut text that belong to the pieces next to the cut."""
    words: Sequence[int | None] = encoding.word_ids
    pieces = [piece for piece, owner in zip(words, owners, strict=True) if piece is not None and owner == sequence]
    if not pieces:
        return 0
    last = pieces[-1] if side == "right" else pieces[0]
    return sum(abs(last - piece) < _MARGIN_PIECES for piece in pieces)


@dataclass(frozen=True)
class _Cut:
    text: Text
    removed: tuple[Removed, ...]
    sequence: int | None


def _cut(text: Text, window: int, rule: CutRule) -> _Cut | None:
    """Cuts and shortens a text or pair; ``None`` if a larger window has to be tried."""
    parts = [text] if isinstance(text, str) else list(text)
    removed: list[Removed] = [()] * len(parts)
    long = [index for index, part in enumerate(parts) if len(part) > 2 * window]
    sequence = long[0] if len(long) == 1 and sum(len(part) > window for part in parts) == 1 else None
    if sequence is not None:
        place = rule.find_place(parts[sequence], window)
        if place is None:
            return None
        if rule.side == "right":
            parts[sequence] = parts[sequence][:place]
        else:
            parts[sequence] = parts[sequence][place:]
            removed[sequence] = ((-1, place),)
    for index, part in enumerate(parts):
        if len(part) > MIN_WINDOW_CHARACTERS:
            parts[index], more = rule.shorten(part)
            removed[index] += more
    return _Cut(parts[0] if isinstance(text, str) else (parts[0], parts[1]), tuple(removed), sequence)


def shift_offsets(offsets: npt.NDArray[Any], items: Sequence[CutEncoding], lengths: npt.NDArray[np.int64]) -> None:
    """Shifts the offsets of texts of which something was left out, so that they are those in the whole text.

    Args:
        offsets: The start and end of each token of all rows; shape ``[tokens, 2]``. It is changed in place.
        items: The encoding of each row.
        lengths: The number of tokens of each row; shape ``[rows]``.
    """
    ends = np.cumsum(lengths)
    for index, item in enumerate(items):
        of_row = offsets[ends[index] - lengths[index] : ends[index]]
        for sequence, removed in enumerate(item.removed):
            if removed:
                places, counts = np.array(removed, dtype=np.int64).T
                before = np.concatenate(([0], np.cumsum(counts)))
                owned = np.array([owner == sequence for owner in item.encoding.sequence_ids])
                of_row[owned] += before[np.searchsorted(places, of_row[owned])]
