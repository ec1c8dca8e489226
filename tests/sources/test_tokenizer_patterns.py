"""Patterns of known tokenizers are accepted; those that may backtrack further than a fixed distance are refused."""

from __future__ import annotations

import pytest

from inferox.core import PackageError
from inferox.sources.tokenizer_patterns import check_pattern

_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_TAKEN = r"\s++$|\s*[\r\n]|\s+(?!\S)|\s"
_ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
)

KNOWN = (
    rf"'s|'t|'re|'ve|'m|'ll|'d| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|{_SPACES}",
    rf"{_ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}",
    rf"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{{L}}\p{{N}}]?+\p{{L}}++|\p{{N}}{{1,3}}+| ?[^\s\p{{L}}\p{{N}}]++[\r\n]*+|{_TAKEN}",
    rf"{_CASED}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}",
    rf"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{{|}}~][A-Za-z]+|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+|{_SPACES}",
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    " ?[^(\\s|[.,!?…\u3002\uff0c\u3001\u0964\u06d4\u060c])]+",
    *(
        " {2,}",
        r"\s+",
        r"[\n\r\t]",
        r"\s?\p{L}+",
        "[一-龥ࠀ-一가-퟿]+",
        "[0-9][0-9][0-9]",
        r"(?:\r?\n)+",
        r"\s{2,}|[\n\r\t]",
    ),
    r"\s+(?!\S)",
    # DeepSeek's, with the characters themselves instead of their escapes.
    (
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
        "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
    ),
    *(r"(?<!\n)\n(?!\n)", r"(?<=\p{L})[.,](?=\s)"),
)

BACKTRACKING = (
    *("(a+)+b", "a+b", "a+?b", "(a|a)*b", "(?:a+c)?", "b*(?:a+c)?", ".*x", "(a*)*", "(a+|b)+", "a*a*b", "a{1,3}+b"),
    *(r"\s+$", r"\s*[\r\n]+", r"\s++$|\s*[\r\n]", "(?=(a+))a*b", r"(a)\1+", "(a{1,30}){1,30}b"),
    *("a+(?!b)", "a(?=b+)", "(?!ab)c", "(?!(?:a|b))c", "(?<!a*)b", "(?=a)*"),
    *("a{0,200}b", "(?<x>a+)b", "(?>a+)b", "(?#)a+b", "[]a]+b", "[a", "(a", "a)", "*a", "a**", "(*FAIL)", r"\Ra", "^a"),
    *(_CASED.split("|", maxsplit=1)[0] + "(?:x)", "|".join(["abcdefgh"] * 100), "a" * 5000),
    r"\p{N}{1,3}(?=(?:\p{N}{3})*\b)",
)


@pytest.mark.parametrize("pattern", KNOWN)
def test_known_patterns_are_taken(pattern: str) -> None:
    assert not check_pattern(pattern, "x")


@pytest.mark.parametrize("pattern", BACKTRACKING)
def test_patterns_that_may_go_back_are_refused(pattern: str) -> None:
    with pytest.raises(PackageError, match=r"^the step has (the|a) pattern"):
        check_pattern(pattern, "the step")


@pytest.mark.parametrize("pattern", ["", "(?=a)", "(?<!b)", "a*", "a?b*", "a|", "(?:|a)+", "(?:a?)", "x{0,3}"])
def test_patterns_that_match_nothing_are_reported(pattern: str) -> None:
    assert check_pattern(pattern, "x")
