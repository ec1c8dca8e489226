"""The check that a tokenizer's regular expressions need only linear time.

The tokenizers library runs them on a backtracking engine. ``(a+)+b`` takes time that doubles with each character, and
``a+b`` time that grows with the square of a text's length. A pattern that is not shown here to be linear is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from inferox.core import PackageError, shown

MAX_PATTERN_CHARACTERS = 4096
"""The longest accepted pattern: several times as long as the longest known."""

MAX_STEPS_PER_CHARACTER = 250
"""The most characters that the engine may examine per starting position of a search; known patterns need 130."""

_SPACES = frozenset({r"\s++$", r"\s+$", r"\s*[\r\n]+", r"\s*[\r\n]", r"\s*[\r\n]++", r"\s+(?!\S)", r"\s++"})
"""White-space alternatives that may fail after reading all of it; linear if one of ``_SPACES_TAKEN`` follows."""

_SPACES_TAKEN = frozenset({r"\s+", r"\s++", r"\s+(?!\S)"})
"""Alternatives that match white space of two or more characters, except at most the last one."""

_ESCAPE = re.compile(
    r"\\(?:[sSdDwWnrt]|[pP]\{\^?[A-Za-z_ ]+\}|x[0-9A-Fa-f]{2}|x\{[0-9A-Fa-f]{1,6}\}|u[0-9A-Fa-f]{4}|[^A-Za-z0-9])",
    re.ASCII | re.DOTALL,
)
_LITERAL = re.compile(r"[^\\()\[\]{*+?|^$]", re.DOTALL)
_LOOK = re.compile(r"\(\?<?[=!]")
"""The opening of a lookahead or lookbehind group. With a single character in it, it examines one position."""

_GROUP = re.compile(r"\((?:\?:|\?i:)?(?!\?)")
_QUANTIFIER = re.compile(r"[?*+][?+]?|\{(\d{0,4})(,?)(\d{0,4})\}(\+?)", re.ASCII)


@dataclass(frozen=True)
class _Element:
    """One element of an alternative: a character, a class or a group, with its quantifier.

    Attributes:
        source: The element without its quantifier.
        low: The fewest repetitions.
        high: The most repetitions; ``None`` for any number.
        inner: The alternatives of a group; ``None`` for a character or a class.
    """

    source: str
    low: int
    high: int | None
    inner: tuple[tuple[_Element, ...], ...] | None = None


_Alternative = tuple[_Element, ...]


class _NotLinearError(Exception):
    """The pattern has an element for which no bound is known."""


def check_pattern(pattern: str, subject: str) -> bool:
    """Checks that a search for a pattern needs time in proportion to the text.

    Args:
        pattern: A regular expression in the syntax of the tokenizers library (Oniguruma's).
        subject: Its location, for the message.

    Returns:
        Whether it may match the empty string, between any two characters.

    Raises:
        PackageError: If it is too long, or not known to be linear.
    """
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise PackageError(
            f"{subject} has a pattern of {len(pattern):,} characters, but at most {MAX_PATTERN_CHARACTERS} are accepted"
        )
    try:
        sources = _split(pattern)
        parsed = [None if _is_spaces(sources, index) else _parse(part) for index, part in enumerate(sources)]
        steps = _count_all(parsed)
    except _NotLinearError as error:
        raise PackageError(
            f"{subject} has the pattern {shown(pattern)}, whose time is not known to grow only in proportion to "
            f"the text: {error}",
            hint="put nothing that must match behind a repetition, or divide the pattern into several steps",
        ) from error
    if steps > MAX_STEPS_PER_CHARACTER:
        raise PackageError(
            f"{subject} has the pattern {shown(pattern)}, which may look at {steps:,} characters from each place in "
            f"a text, but at most {MAX_STEPS_PER_CHARACTER} are accepted"
        )
    return any(alternative is not None and all(map(_may_be_empty, alternative)) for alternative in parsed)


def _may_be_empty(element: _Element) -> bool:
    if element.low == 0 or _LOOK.match(element.source):
        return True
    return element.inner is not None and any(all(map(_may_be_empty, inner)) for inner in element.inner)


def _is_spaces(sources: list[str], index: int) -> bool:
    """Returns whether white space that an alternative reads is taken, by it or by a later one of the same kind."""
    for written in sources[index:]:
        # Some files have the characters themselves in place of escapes.
        source = written.replace("\r", r"\r").replace("\n", r"\n")
        if source in _SPACES_TAKEN:
            return True
        if source not in _SPACES:
            return False
    return False


def _count_all(alternatives: list[_Alternative | None]) -> int:
    """Counts the most characters examined from one position before the pattern matches or fails there.

    The characters of a match are not counted, as the search continues behind it.
    """
    steps = 0
    for index, alternative in enumerate(alternatives):
        if alternative is None:
            continue
        following = alternatives[index + 1] if index + 1 < len(alternatives) else None
        steps += _count(alternative, following)
    return steps


def _count(alternative: _Alternative, following: _Alternative | None) -> int:
    if len(alternative) == 1 and alternative[0].inner is not None and alternative[0].low == alternative[0].high == 1:
        return _count_all(list(alternative[0].inner))
    paths, length = 1, 0
    for index, element in enumerate(alternative):
        if element.high is None:
            rest = alternative[index + 1 :]
            if not _cannot_fail(rest) and not _is_cased_word(alternative, index, following):
                raise _NotLinearError(f"after the repetition of {element.source!r}, more must match: it may backtrack")
            # The characters that the repetitions take belong to the match; only those examined in vain behind them
            # count.
            vain = sum(_count_in_vain(part) for part in (element, *rest))
            return paths * (length + element.low + vain)
        choices, longest = _bound(element)
        paths, length = paths * choices, length + longest
        if paths * length > MAX_STEPS_PER_CHARACTER:
            break
    return paths * max(1, length)


def _count_in_vain(element: _Element) -> int:
    """Counts the characters examined when one more repetition of an element fails."""
    if element.inner is None:
        return 1
    choices, longest = _bound(replace(element, low=0, high=1))
    return choices * max(1, longest)


def _cannot_fail(rest: _Alternative) -> bool:
    """Returns whether everything that follows is optional, so that nothing makes the engine backtrack."""
    return all(element.low == 0 for element in rest)


def _is_cased_word(alternative: _Alternative, index: int, following: _Alternative | None) -> bool:
    """Returns whether ``A*B+`` is followed by the alternative ``A+B*``, which matches what the first read in vain.

    Several tokenizers split words where lower case turns into upper case like this.
    """
    if following is None or len(following) != len(alternative) or len(alternative) < index + 2:
        return False
    first, second = alternative[index], alternative[index + 1]
    swapped = (_Element(first.source, 1, None), _Element(second.source, 0, None))
    return (
        (first.low, second.low, second.high, first.inner, second.inner) == (0, 1, None, None, None)
        and following == (*alternative[:index], *swapped, *alternative[index + 2 :])
        and _cannot_fail(alternative[index + 2 :])
    )


def _bound(element: _Element) -> tuple[int, int]:
    """Returns the number of ways in which an element may match, and the most characters that it may examine."""
    if element.high is None:
        raise _NotLinearError(f"{element.source!r} is repeated without end inside a group")
    spread = element.high - element.low + 1
    if element.inner is None:
        return spread, element.high
    if element.high > 1:
        raise _NotLinearError(f"the group {element.source!r} is repeated")
    choices, longest = 0, 0
    for alternative in element.inner:
        paths, length = 1, 0
        for inner in alternative:
            ways, characters = _bound(inner)
            paths, length = min(paths * ways, MAX_STEPS_PER_CHARACTER + 1), length + characters
        choices, longest = choices + paths, max(longest, length)
    return choices + (spread - 1), longest


def _split(pattern: str) -> list[str]:
    """Splits a pattern into its alternatives, as written."""
    parts, start = [], 0
    for place, symbol in _walk(pattern):
        if symbol == "|":
            parts.append(pattern[start:place])
            start = place + 1
    return [*parts, pattern[start:]]


def _walk(pattern: str) -> Iterator[tuple[int, str]]:
    """Yields each symbol outside groups, with its position; a class, a group or an escape is one symbol."""
    place = 0
    while place < len(pattern):
        end = _end_of_symbol(pattern, place)
        yield place, pattern[place:end]
        place = end


def _end_of_symbol(pattern: str, place: int) -> int:
    if pattern[place] == "[":
        return _end_of_class(pattern, place)
    if pattern[place] == "(":
        return _end_of_group(pattern, place)
    if pattern[place] == "\\":
        return _end_of_escape(pattern, place)
    return place + 1


def _end_of_escape(pattern: str, place: int) -> int:
    found = _ESCAPE.match(pattern, place)
    if found is None:
        raise _NotLinearError(f"{pattern[place : place + 2]!r} is not among the escapes that are understood")
    return found.end()


def _end_of_class(pattern: str, place: int) -> int:
    depth = 0
    while place < len(pattern):
        if pattern[place] == "\\":
            place = _end_of_escape(pattern, place)
            continue
        if pattern[place] == "[":
            depth += 1
            place += 1 if pattern[place + 1 : place + 2] == "^" else 0
            if pattern[place + 1 : place + 2] == "]":
                raise _NotLinearError("a class of characters begins with ']'")
        elif pattern[place] == "]":
            depth -= 1
            if depth == 0:
                return place + 1
        place += 1
    raise _NotLinearError("a class of characters is not closed")


def _end_of_group(pattern: str, place: int) -> int:
    depth = 0
    while place < len(pattern):
        if pattern[place] == "(":
            depth += 1
        elif pattern[place] == ")":
            depth -= 1
            if depth == 0:
                return place + 1
        place = place + 1 if pattern[place] == "(" else _end_of_symbol(pattern, place)
    raise _NotLinearError("a group is not closed")


def _parse(source: str) -> _Alternative:
    """Parses the elements of one alternative."""
    elements, place = [], 0
    while place < len(source):
        end = _end_of_symbol(source, place)
        symbol = source[place:end]
        inner = None
        if _LOOK.match(symbol):
            _check_look(symbol)
        elif symbol[0] == "(":
            inner = _parse_group(symbol)
        elif symbol[0] not in "[\\" and not _LITERAL.fullmatch(symbol):
            raise _NotLinearError(f"{symbol!r} is not understood where it stands")
        low, high, place = _read_quantifier(source, end)
        if _LOOK.match(symbol) and (low, high) != (1, 1):
            raise _NotLinearError(f"{source[end - len(symbol) : place]!r} repeats a lookahead or lookbehind")
        elements.append(_Element(symbol, low, high, inner))
    return tuple(elements)


def _check_look(symbol: str) -> None:
    """Refuses a lookahead or lookbehind of more than one character."""
    opening = _LOOK.match(symbol)
    inner = _parse(symbol[opening.end() : -1]) if opening else ()
    if len(inner) != 1 or inner[0].inner is not None or (inner[0].low, inner[0].high) != (1, 1):
        raise _NotLinearError(f"{symbol!r} looks for more than one character")


def _parse_group(symbol: str) -> tuple[_Alternative, ...]:
    opening = _GROUP.match(symbol)
    if opening is None:
        raise _NotLinearError(f"{symbol!r} is a kind of group that is not understood")
    return tuple(_parse(part) for part in _split(symbol[opening.end() : -1]))


def _read_quantifier(source: str, place: int) -> tuple[int, int | None, int]:
    """Parses the quantifier at a position: the fewest and the most repetitions, and the position where it ends."""
    found = _QUANTIFIER.match(source, place)
    if found is None:
        return 1, 1, place
    end = found.end()
    if source[end : end + 1] in {"?", "*", "+", "{"}:
        raise _NotLinearError(f"{source[place : end + 1]!r} repeats a repetition")
    if source[place] != "{":
        low = 1 if source[place] == "+" else 0
        return low, (1 if source[place] == "?" else None), end
    first, comma, last, again = found.groups()
    if not first and not last:
        raise _NotLinearError(f"{found.group()!r} states no number")
    low = int(first or 0)
    high = None if comma and not last else int(last) if comma else low
    if high is not None and high < low:
        raise _NotLinearError(f"{found.group()!r} states its numbers in the wrong order")
    # Other engines treat "{1,3}+" as a possessive quantifier, but this one repeats the repetition.
    return low, None if again else high, end
