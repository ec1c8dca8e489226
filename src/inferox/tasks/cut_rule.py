"""Where a long text may be cut before it is tokenised, read from its tokenizer.

A text is cut between two plain characters. These are normalised independently of those beside them, and no added token
has one of them. A tokenizer that divides texts into pieces in one of the ways below then gives, for either part, the
pieces of the whole text, except for a few next to the cut, which are not used. Where a model has one token for every
word that is too long, such words are shortened too: no place within them ends a piece.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer, models

_SEARCHED = 4096
"""The distance, in characters, over which a place for a cut is searched for."""

_LONGEST_WORD = 10_000
"""Words are shortened only if the model limits their length, to at most this many characters."""

# Fixed ranges rather than categories, which Python and the tokenizers library take from different versions of Unicode.
_SPACE = " \t\n\r\u00a0\u3000"
_WORD = (
    "0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u0388-\u038a\u038e-\u03a1\u03a3-\u03ce\u0400-\u0481\u048a-\u052f"
    "\u0531-\u0556\u0561-\u0587\u05d0-\u05ea\u0621-\u063a\u0641-\u064a\u0904-\u0939\u0e01-\u0e30\u0e40-\u0e45"
    "\u3041-\u3096\u30a1-\u30fa\u30fc\uac00-\ud7a3"
)
"""Letters and digits of which words are made, whatever divides a text into words."""
_EMOJI = "\U0001f300-\U0001f320\U0001f330-\U0001f37c\U0001f400-\U0001f4f7\U0001f600-\U0001f64f\U0001f680-\U0001f6c5"
_VISIBLE = (
    rf"!-/:-@\[-`{{-~{_WORD}{_EMOJI}\u00a1-\u00a8\u00ab\u00b4-\u00bb\u0964-\u096f\u060c\u061b\u061f\u2010-\u2027"
    r"\u2030-\u205e\u3001-\u3003\u3008-\u3011\u3400-\u4db5\u4e00-\u9fa5\uff01-\uff5e"
)
"""Plain characters except white space: none is a mark, joins the character before it or is joined by that after it."""

_CUT = re.compile(f"(?<=[{_VISIBLE}])(?=[{_VISIBLE}{_SPACE}])")
_CUT_BEFORE_SPACE = re.compile(rf"(?<=[{_VISIBLE}])(?=[ \t])")
"""A place where each of the patterns listed below ends a match, whatever stands on the left."""

_ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

_UNICODE_NORMALIZERS = frozenset({"BertNormalizer", "Lowercase", "NFC", "NFD", "StripAccents"})
"""Normalizers that keep the characters of a word in the word."""

_LOCAL_NORMALIZERS = _UNICODE_NORMALIZERS | {"NFKC", "NFKD", "Nmt", "Precompiled"}
"""Normalizers that process one character at a time, or one with its combining marks."""

_LOCAL_PATTERNS = frozenset({" {2,}", r"\s+", r"[\n\r\t]", r"\n", r"\s"})
"""Patterns of replacements that match only white space, which never stands before a cut."""

_SPLITTING = frozenset({"BertPreTokenizer", "Whitespace", "WhitespaceSplit"})
"""Pre-tokenizers that split a text at white space and drop it."""

_LOCAL = _SPLITTING | {"Digits", "Punctuation", "ByteLevel", "Metaspace"}

_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WHITE_SPACE = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_AHEAD = r"[^\r\n\p{L}\p{N}]?"

_WORD_PATTERNS = frozenset(
    (
        # In each, a space only begins a match or lies in white space: none has another character with a space after it.
        # To decide on a match, none looks further than that character after it at which a run of letters, digits, other
        # characters or white space ends: only the last three matches before a cut can depend on what follows the cut.
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

Removed = tuple[tuple[int, int], ...]
"""What was left out of a text: the place in the shorter text, -1 for its front, and the number of characters."""


class CutRule:
    """Where the texts of a tokenizer may be cut, and which parts of them may be left out.

    Args:
        tokenizer: The tokenizer.
        side: The side on which a text is cut: ``right`` or ``left``.
        normalizer: The steps of its normalizer.
        splitter: The steps of its pre-tokenizer.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        side: str,
        normalizer: Sequence[Mapping[str, Any]],
        splitter: Sequence[Mapping[str, Any]],
    ) -> None:
        self.side = side
        self._normalizer: Any = tokenizer.normalizer
        # From the left, the matches of a pattern depend on where the first begins.
        is_synchronous = side == "right" or not any(map(_is_pattern, splitter))
        self._place = _CUT if is_synchronous else _CUT_BEFORE_SPACE
        tokens = tokenizer.get_added_tokens_decoder().values()
        added = [token.content for token in tokens]
        added += [self._normalize(token.content) for token in tokens if token.normalized]
        replaced = [step["pattern"].get("String", "") for step in normalizer if step["type"] == "Replace"]
        self._reserved = frozenset("".join(added + replaced))

        drops_space = splitter[0]["type"] in _SPLITTING and not any(map(_has_space, added)) and self._keeps_space()
        longest = _find_longest_word(tokenizer.model, normalizer, splitter, added)
        kinds = (_SPACE,) * drops_space + (_WORD, _EMOJI) * (longest is not None)
        # The two ends that stay of a word have more characters than a word may have, and no added token is longer.
        self._kept = 1 + max(longest or 0, *map(len, added), 0)
        least = 2 * self._kept + 1
        self._runs = re.compile("|".join(f"(?<![{kind}])[{kind}]{{{least},}}" for kind in kinds)) if kinds else None

    def find_place(self, text: str, window: int) -> int | None:
        """Finds where a text can be cut so that at least a window of it is left.

        Args:
            text: The text.
            window: The number of characters.

        Returns:
            The place, or ``None`` if there is none nearby.
        """
        if self.side == "right":
            places = (match.start() for match in self._place.finditer(text, window, window + _SEARCHED))
        else:
            end = len(text) - window
            matches = list(self._place.finditer(text, max(1, end - _SEARCHED), end))
            places = (match.start() for match in reversed(matches))
        return next((at for at in places if self._is_free(text[at - 1]) and self._is_free(text[at])), None)

    def shorten(self, text: str) -> tuple[str, Removed]:
        """Leaves out the middle of white space and words that are so long that it changes no token.

        Args:
            text: The text.

        Returns:
            The shorter text, and what was left out.
        """
        if self._runs is None:
            return text, ()
        parts, removed, end, length = [], [], 0, 0
        for match in self._runs.finditer(text):
            first, last = match.start() + self._kept, match.end() - self._kept
            parts.append(text[end:first])
            length += first - end
            removed.append((length, last - first))
            end = last
        return "".join((*parts, text[end:])), tuple(removed)

    def _is_free(self, character: str) -> bool:
        """Returns whether no added token and no replacement has the character, so that none reaches beyond it."""
        made = self._normalize(character)
        return made != "" and self._reserved.isdisjoint(character + made)

    def _keeps_space(self) -> bool:
        return all(re.search(r"\S\s+\S", self._normalize(f"x{character}x")) for character in _SPACE)

    def _normalize(self, text: str) -> str:
        made: str = text if self._normalizer is None else self._normalizer.normalize_str(text)
        return made


def _find_longest_word(
    model: Any, normalizer: Sequence[Mapping[str, Any]], splitter: Sequence[Mapping[str, Any]], added: Sequence[str]
) -> int | None:
    """Returns the length above which every word is one token; ``None`` if there is no such length, or not for all."""
    if (
        isinstance(model, models.WordPiece)
        and [step["type"] in _SPLITTING for step in splitter] == [True]
        and all(step["type"] in _UNICODE_NORMALIZERS for step in normalizer)
        and not any(re.fullmatch(f"[{_WORD}{_EMOJI}]*", text) for text in added)
    ):
        most: int = model.max_input_chars_per_word
        return most if most <= _LONGEST_WORD else None
    return None


def _has_space(text: str) -> bool:
    return any(character.isspace() for character in text)


def read_cut_rule(tokenizer: Tokenizer, side: str) -> CutRule | None:
    """Reads where texts may be cut without changing tokens away from the cut; ``None`` if nothing is known.

    Args:
        tokenizer: The tokenizer.
        side: The side on which a text is cut: ``right`` or ``left``.
    """
    normalizer = list(_flatten(_state(tokenizer.normalizer), "normalizers"))
    splitter = list(_flatten(_state(tokenizer.pre_tokenizer), "pretokenizers"))
    if (
        all(_is_local_normalizer(step, side) for step in normalizer)
        and _keeps_words(tokenizer.normalizer)
        and _splits_at_spaces(splitter)
    ):
        return CutRule(tokenizer, side, normalizer, splitter)
    return None


def _state(component: Any) -> Mapping[str, Any] | None:
    """Returns the state of a normalizer or pre-tokenizer, as ``tokenizer.json`` writes it."""
    if component is None:
        return None
    state: Mapping[str, Any] = json.loads(component.__getstate__())
    return state


def _flatten(step: Mapping[str, Any] | None, key: str) -> Iterator[Mapping[str, Any]]:
    if step is None:
        return
    if step["type"] != "Sequence":
        yield step
        return
    for inner in step[key]:
        yield from _flatten(inner, key)


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
    """Returns whether one step splits a text at white space, and the others process each piece by itself."""
    for place, step in enumerate(steps):
        later = steps[place + 1 :]
        if _splits(step):
            # White space that a pattern keeps in one piece would become many.
            is_kept = not (_is_pattern(step) and any(other["type"] == "Metaspace" for other in later))
            return is_kept and all(other["type"] in _LOCAL or _is_word_split(other) for other in later)
        if step["type"] not in {"Digits", "Punctuation"}:
            return False
    return False


def _splits(step: Mapping[str, Any]) -> bool:
    if step["type"] == "Metaspace":
        return step.get("split") is True
    return step["type"] in _SPLITTING or _is_pattern(step)


def _is_pattern(step: Mapping[str, Any]) -> bool:
    if step["type"] == "ByteLevel":
        return step.get("use_regex") is True
    return _is_word_split(step)


def _is_word_split(step: Mapping[str, Any]) -> bool:
    if step["type"] != "Split" or step["pattern"].get("Regex") not in _WORD_PATTERNS:
        return False
    return (step["behavior"], step["invert"]) in {("Isolated", False), ("Removed", True), ("Isolated", True)}
