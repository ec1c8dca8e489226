"""Errors about bodies that are not the expected JSON."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.server.http_error import HttpError
from inferox.server.json_depth import is_deeper
from inferox.server.json_fault import check_depth, explain_json

PLAIN = st.none() | st.booleans() | st.integers() | st.text('ab[]{}"\\ué😀,:')
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a[{"\\'), inner, max_size=4)
)


def measure(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(measure, value.values()), default=0)
    return 1 + max(map(measure, value), default=0) if isinstance(value, list) else 0


@given(VALUES, st.booleans())
def test_depth_is_that_of_the_value(value: Any, is_ascii: bool) -> None:
    body = json.dumps(value, ensure_ascii=is_ascii).encode()
    depth = measure(value)
    assert not is_deeper(body, depth)
    assert depth == 0 or is_deeper(body, depth - 1)


def test_many_shallow_brackets_are_not_deep() -> None:
    check_depth(b"[" + b",".join([b'{"a":["[[[["]}'] * 10_000) + b"]")
    check_depth(b"[" * 64 + b"]" * 64)
    with pytest.raises(HttpError, match="64 deep"):
        check_depth(b"[" * 65 + b"]" * 65)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "is empty"),
        (b'"\xe9"', r"byte 1 is 0xe9, not UTF-8"),
        (b'{"a":"\\ud800"}', r"\\ud800 at byte 6 is half of a surrogate pair"),
        (b'["\\ud83d\\ude00","\\\\ud800","\\uDE00"]', r"\\uDE00 at byte 27 is half"),
        (b'["\\ud83d\\u0041"]', r"\\ud83d at byte 2 is half"),
        (b'["\\\\ud800"', "Input data was truncated"),
        (b"[NaN]", r"invalid character \(byte 1\)"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, what: str) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)) as raised:
        msgspec.json.decode(body, type=list[str] | dict[str, str])
    with pytest.raises(HttpError, match=what):
        raise explain_json(body, raised.value)
