"""Foreign text as it is shown: it neither controls a terminal nor floods it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import InferoxError, counted, printable, shown


@given(st.text(alphabet=st.characters()))
def test_whatever_comes_is_printable(text: str) -> None:
    assert printable(text).isprintable()
    assert shown(text).isprintable()
    assert shown([text, {text: text}]).isprintable()
    error = InferoxError(text, hint=text)
    assert str(error).isprintable()
    assert error.args[0].isprintable()


@pytest.mark.parametrize("text", ["plain text", "日本語 العربية हिन्दी", "café 😀", ""])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text
    assert InferoxError(text).message == text


def test_what_controls_a_terminal_is_written_out() -> None:
    assert printable("a\x1b[2Jb\nc\x9b31m\u202ed\ud800\x7f") == r"a\x1b[2Jb\nc\x9b31m\u202ed\ud800\x7f"


def test_long_values_are_cut() -> None:
    assert shown("a" * 1000) == "'" + "a" * 120 + "…' (1,000 characters)"
    assert len(shown(["a"] * 10_000)) < 160
    assert shown(10**5000) == "a value of the type int"
    message = InferoxError("a" * 100_000).message
    assert message.startswith("a" * 4000 + "… (100,000 characters)")


def test_one_is_not_several() -> None:
    assert [counted(count, "row") for count in (0, 1, 2, 1024)] == ["0 rows", "1 row", "2 rows", "1,024 rows"]
    assert [counted(count, "axis", "axes") for count in (1, 3)] == ["1 axis", "3 axes"]
