"""The strict reader of JSON: refusals name the file and the field, and honest files are read."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferox.core import ConfigError, IntegrityError, ManifestError, parse_json, read_json_file, read_json_object
from inferox.core.json_reader import MAX_INTEGER_DIGITS, MAX_JSON_DEPTH

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_what_json_has_is_read(value: Any) -> None:
    assert parse_json(json.dumps(value).encode(), "x.json") == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode(), "x.json") == value


REFUSED = {
    "NaN": (b'{"a": [1, NaN]}', r"x\.json: a\[1\]: NaN is not allowed in JSON"),
    "Infinity": (b'{"a": {"b": Infinity}}', r"x\.json: a\.b: Infinity is not"),
    "-Infinity": (b"-Infinity", r"x\.json: -Infinity is not"),
    "1e999": (b'{"a": 1e999}', r"x\.json: a: the number 1e999 is too large"),
    "-1e999": (b"[-1e999]", r"x\.json: \[0\]: the number -1e999 is too large"),
    "hundreds of digits": (b'{"a": 1%s}' % (b"0" * 400), r"x\.json: a: an integer has 401 digits"),
    "thousands of digits": (b'{"a": -1%s}' % (b"0" * 5000), r"x\.json: a: an integer has 5,001 digits"),
    "a name twice": (b'{"a": {"b": 1, "b": 1}}', r"x\.json: a: the field 'b' appears twice"),
    "half a character": (rb'["\ud800"]', r"x\.json: \[0\]: the text '\\ud800' holds a lone surrogate"),
    "the other half": (rb'{"a": "\udfff!"}', r"x\.json: a: the text '\\udfff!' holds a lone surrogate"),
    "half a character in a name": (rb'{"a": {"\ud800": 1}}', r"the name '\\ud800' holds a lone surrogate"),
    "deep lists": (b"[" * 65 + b"]" * 65, "nested more than 64 deep"),
    "deep objects": (b'{"a":' * 65 + b"1" + b"}" * 65, "nested more than 64 deep"),
    "a bottomless list": (b"[" * 1_000_000, "nested more than 64 deep"),
    "bottomless objects": (b'{"a":' * 1_000_000, "nested more than 64 deep"),
    "not UTF-8": (b'{"\xff": 1}', r"x\.json is not JSON in UTF-8: 'utf-8' codec"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), r"x\.json is not JSON in UTF-8"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "begins with a byte order mark"),
    "nothing": (b"", "Expecting value"),
    "two values": (b"{} {}", "Extra data"),
    "a NUL": (b'{"a": "\x00"}', "Invalid control character"),
}


@pytest.mark.parametrize(("content", "text"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("error_type", [ManifestError, ConfigError])
def test_what_others_could_read_otherwise_is_refused(content: bytes, text: str, error_type: Any) -> None:
    with pytest.raises(error_type, match=text):
        parse_json(content, "x.json", error_type=error_type)


def test_what_is_just_allowed() -> None:
    deepest = "[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH
    assert parse_json(deepest, "x") == json.loads(deepest)
    longest = int("9" * MAX_INTEGER_DIGITS)
    assert parse_json(str(-longest), "x") == -longest
    with pytest.raises(ManifestError, match="digits"):
        parse_json(str(-longest * 10), "x")
    assert parse_json("[1.7976931348623157e308, 1e-999, -0.0]", "x") == [sys.float_info.max, 0.0, 0.0]
    assert parse_json(rb'"\ud83d\ude00"', "x") == "\U0001f600"


def test_literals_of_transformers_are_numbers_where_they_are_allowed() -> None:
    text = '{"limit": [0.0, Infinity], "x": {"y": -Infinity}, "z": NaN}'
    value = parse_json(text, "config.json", allow_non_finite=True)
    assert value["limit"] == [0.0, math.inf]
    assert value["x"] == {"y": -math.inf}
    assert math.isnan(value["z"])
    assert parse_json("Infinity", "config.json", allow_non_finite=True) == math.inf
    with pytest.raises(ManifestError, match="1e999 is too large"):
        parse_json("[1e999]", "config.json", allow_non_finite=True)


def test_a_deep_stack_is_no_way_around() -> None:
    def descend(levels: int) -> Any:
        return descend(levels - 1) if levels else parse_json("[" * 500 + "]" * 500, "x.json")

    with pytest.raises(ManifestError, match="nested more than"):
        descend(600)


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b'"' + b"a" * 98 + b'"')
    assert read_json_file(path, max_bytes=100) == "a" * 98
    with pytest.raises(IntegrityError, match=r"x\.json has more than 99 bytes"):
        read_json_file(path, max_bytes=99, error_type=IntegrityError)
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(ManifestError, match=r"x\.json has more than 16 MiB"):
        read_json_file(path)


def test_what_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json_file(tmp_path / "absent.json")
    with pytest.raises(ManifestError, match="must be a regular file"):
        read_json_file(tmp_path)
    with pytest.raises(ManifestError, match="cannot be read"):
        read_json_file(Path("a\0b"))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.json")
        with pytest.raises(ManifestError, match=r"pipe\.json must be a regular file"):
            read_json_file(tmp_path / "pipe.json")


@pytest.mark.parametrize("content", ["[]", "1", "null", '"{}"'])
def test_an_object_is_an_object(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ConfigError, match=r"x\.json must be a JSON object, but is of the type"):
        read_json_object(tmp_path / "x.json", error_type=ConfigError)


def test_errors_stay_short_and_harmless() -> None:
    name = "\\u001b[31m" + "k" * 100_000
    for content in (f'{{"{name}": NaN}}', f'{{"{name}": 1, "{name}": 2}}', f'["\\ud800{name}"]'):
        with pytest.raises(ManifestError) as caught:
            parse_json(content, "x.json")
        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 500


def test_a_large_file_takes_seconds() -> None:
    content = b"[" + b"[]," * 200_000 + b"1]"
    assert len(parse_json(content, "x.json")) == 200_001
