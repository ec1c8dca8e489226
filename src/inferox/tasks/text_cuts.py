"""The early cut of long texts before tokenisation, where that is known not to change any token that stays."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from inferox.tasks.texts import Text

MIN_WINDOW_CHARACTERS = 8192
"""The fewest characters to which a long text is cut before it is tokenised. Texts of up to twice that are never cut
early, so that all their tokens are counted."""

_WINDOW_PER_TOKEN = 16
"""The number of characters tokenised at first for each token that may stay."""

_MARGIN_TOKENS = 16
"""The surplus of tokens that a cut must leave: those next to the cut, such as its white space, are not used."""

_GROWTH = 4
"""The factor by which the window grows if it gave too few tokens."""

_SEARCHED_BACK = 4096
"""The distance, in characters, over which a boundary is first searched for backwards."""

_BOUNDARY = re.compile(r"(?<=[A-Za-z0-9]) (?=[A-Za-z0-9])", re.ASCII)
"""One space between two words. The steps listed below process both sides of it independently."""

_ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

_LOCAL_NORMALIZERS = frozenset(
    # They process one character at a time, or one with its combining marks.
    ("BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "StripAccents")
)
_LOCAL_PATTERNS = frozenset({" {2,}", r"\s+", r"[\n\r\t]", r"\n", r"\s"})
"""Patterns of replacements that match only white space, of which a boundary has a single character."""

_SPLITTING = frozenset({"BertPreTokenizer", "Whitespace", "WhitespaceSplit"})
"""Pre-tokenizers that split a text at white space and drop it."""

_LOCAL = _SPLITTING | {"Digits", "Punctuation", "ByteLevel", "Metaspace"}

_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WHITE_SPACE = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_AHEAD = r"[^\r\n\p{L}\p{N}]?"

_WORD_PATTERNS = frozenset(
    (
        # In each, a space only begins a match or lies in white space: none has a letter or digit with a space after it.
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        *(
            rf"{_ENDINGS}|{_AHEAD}\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_WHITE_SPACE}"
            for digits in (r"\p{N}", r"\p{N}{1,3}")
        ),
        *(
            rf"{_AHEAD}{_UPPER}*{_LOWER}+{endings}|{_AHEAD}{_UPPER}+{_LOWER}*{endings}|{digits}|"
            rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_WHITE_SPACE}"
            for digits in (r"\p{N}", r"\p{N}{1,3}")
            for endings in ("", f"{_ENDINGS}?")
        ),
        r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
        r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    )
)

Encode = Callable[[Sequence[Text]], list[Encoding]]


@dataclass(frozen=True)
class CutEncoding:
    """The tokens of a text or pair, of which one may have been cut early.

    Attributes:
        encoding: The tokens: all of them, or those at one end of a text that was cut.
        is_whole: Whether it has all tokens.
        cut_sequence: The index in a pair, 0 or 1, of the text that was cut at its front.
        shift: The number of characters that were cut off its front.
    """

    encoding: Encoding
    is_whole: bool = True
    cut_sequence: int = 0
    shift: int = 0


def may_be_cut(texts: Sequence[Text]) -> bool:
    """Returns whether any text is long enough to be cut before it is tokenised; see ``encode_cut``.

    Args:
        texts: The texts or pairs.
    """
    most = 2 * MIN_WINDOW_CHARACTERS
    return any(len(text) > most if isinstance(text, str) else max(map(len, text)) > most for text in texts)


def encode_cut(encode: Encode, texts: Sequence[Text], max_length: int, side: str) -> list[CutEncoding]:
    """Tokenises only as much of each text as determines the tokens that stay.

    At most one text of a pair is cut: if both are long, all tokens are needed to tell which text has more.

    Args:
        encode: Tokenises texts.
        texts: The texts or pairs.
        max_length: The most tokens that stay of each.
        side: The side on which surplus tokens are dropped: ``right`` or ``left``.

    Returns:
        The tokens of each text or pair.
    """
    found: list[CutEncoding | None] = [None] * len(texts)
    window = max(MIN_WINDOW_CHARACTERS, _WINDOW_PER_TOKEN * max_length)
    while pending := [index for index, item in enumerate(found) if item is None]:
        cuts = [_cut(texts[index], window, side) for index in pending]
        encodings = encode([cut.text for cut in cuts])
        for index, cut, encoding in zip(pending, cuts, encodings, strict=True):
            if cut.is_whole or _is_enough(encoding, cut.sequence, max_length):
                found[index] = CutEncoding(encoding, cut.is_whole, cut.sequence, cut.shift)
        window *= _GROWTH
    return [item for item in found if item is not None]


@dataclass(frozen=True)
class _Cut:
    text: Text
    is_whole: bool = True
    sequence: int = 0
    shift: int = 0


def _cut(text: Text, window: int, side: str) -> _Cut:
    parts = (text,) if isinstance(text, str) else text
    long = [index for index, part in enumerate(parts) if len(part) > 2 * window]
    if len(long) != 1 or any(len(part) > window for index, part in enumerate(parts) if index != long[0]):
        return _Cut(text)
    sequence = long[0]
    place = _find_boundary(parts[sequence], window, side)
    if place is None:
        return _Cut(text)
    kept = parts[sequence][:place] if side == "right" else parts[sequence][place:]
    shift = 0 if side == "right" else place
    if isinstance(text, str):
        return _Cut(kept, is_whole=False, sequence=sequence, shift=shift)
    return _Cut((kept, text[1]) if sequence == 0 else (text[0], kept), is_whole=False, sequence=sequence, shift=shift)


def _find_boundary(text: str, window: int, side: str) -> int | None:
    """Finds where a text can be cut so that at least a window of it is left; ``None`` if there is no such position."""
    if side == "right":
        match = _BOUNDARY.search(text, window)
        return None if match is None else match.start()
    start = len(text) - window
    for first in (max(0, start - _SEARCHED_BACK), 0):
        last = None
        for match in _BOUNDARY.finditer(text, first, start):
            last = match.start()
        if last is not None:
            return last
    return None


def _is_enough(encoding: Encoding, sequence: int, max_length: int) -> bool:
    """Returns whether the cut text has enough more tokens than may stay, and than the other text of the pair."""
    owners = encoding.sequence_ids
    count, other = owners.count(sequence), owners.count(1 - sequence)
    return count >= max(max_length, other + 1) + _MARGIN_TOKENS


def is_cuttable(tokenizer: Tokenizer, side: str) -> bool:
    """Returns whether a text may be cut at a space between two words without changing tokens away from the cut.

    Args:
        tokenizer: The tokenizer.
        side: The side on which a text is cut: ``right`` or ``left``.
    """
    normalizer, splitter = _state(tokenizer.normalizer), _state(tokenizer.pre_tokenizer)
    return (
        all(_is_local_normalizer(step, side) for step in _flatten(normalizer, "normalizers"))
        and _keeps_words(tokenizer.normalizer)
        and _splits_at_spaces(_flatten(splitter, "pretokenizers"))
        and not any(_has_space(token.content, tokenizer) for token in tokenizer.get_added_tokens_decoder().values())
    )


def _state(component: Any) -> Mapping[str, Any] | None:
    """Returns the state of a normalizer or pre-tokenizer, as ``tokenizer.json`` writes it."""
    if component is None:
        return None
    state: Mapping[str, Any] = json.loads(component.__getstate__())
    return state


def _flatten(step: Mapping[str, Any] | None, key: str) -> list[Mapping[str, Any]]:
    if step is None:
        return []
    if step["type"] != "Sequence":
        return [step]
    return [inner for item in step[key] for inner in _flatten(item, key)]


def _is_local_normalizer(step: Mapping[str, Any], side: str) -> bool:
    if step["type"] in _LOCAL_NORMALIZERS:
        return True
    if step["type"] == "Strip":
        # On the left, it would strip the space with which a text that was cut there begins.
        return side == "right" or step["strip_left"] is False
    if step["type"] != "Replace":
        return False
    pattern = step["pattern"]
    if "Regex" in pattern:
        return pattern["Regex"] in _LOCAL_PATTERNS and step["content"] == " "
    text = pattern["String"]
    return text != "" and not any(character.isspace() or character in _ALPHANUMERIC for character in text)


def _keeps_words(normalizer: Any) -> bool:
    """Returns whether normalising keeps a space between two words, whatever the words begin and end with."""
    if normalizer is None:
        return True
    made = [normalizer.normalize_str(f"x{character} {character}x") for character in _ALPHANUMERIC]
    return all(re.fullmatch(r"[A-Za-z0-9]{2,} [A-Za-z0-9]{2,}", text) for text in made)


def _splits_at_spaces(steps: Sequence[Mapping[str, Any]]) -> bool:
    """Returns whether one step splits a text at each boundary, and the others process each part by itself."""
    for place, step in enumerate(steps):
        if _splits(step):
            return all(later["type"] in _LOCAL or _is_word_split(later) for later in steps[place + 1 :])
        if step["type"] not in {"Digits", "Punctuation"}:
            return False
    return False


def _splits(step: Mapping[str, Any]) -> bool:
    if step["type"] == "ByteLevel":
        return step.get("use_regex") is True
    if step["type"] == "Metaspace":
        return step.get("split") is True
    return step["type"] in _SPLITTING or _is_word_split(step)


def _is_word_split(step: Mapping[str, Any]) -> bool:
    if step["type"] != "Split" or step["pattern"].get("Regex") not in _WORD_PATTERNS:
        return False
    return (step["behavior"], step["invert"]) in {("Isolated", False), ("Removed", True), ("Isolated", True)}


def _has_space(content: str, tokenizer: Tokenizer) -> bool:
    """Returns whether an added token may reach across a space."""
    normalizer: Any = tokenizer.normalizer
    normalized = content if normalizer is None else normalizer.normalize_str(content)
    return any(character.isspace() for character in content + normalized)


def shift_offsets(offsets: npt.NDArray[Any], items: Sequence[CutEncoding], lengths: npt.NDArray[np.int64]) -> None:
    """Shifts the offsets of texts that were cut at their front, so that they count from the start of the whole text.

    Args:
        offsets: The start and end of each token of all rows; shape ``[tokens, 2]``. It is changed in place.
        items: The encoding of each row.
        lengths: The number of tokens of each row; shape ``[rows]``.
    """
    ends = np.cumsum(lengths)
    for index, item in enumerate(items):
        if item.shift:
            of_row = offsets[ends[index] - lengths[index] : ends[index]]
            of_row[[owner == item.cut_sequence for owner in item.encoding.sequence_ids]] += item.shift
