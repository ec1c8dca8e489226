"""Manifests: they can be read again, and errors in them are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferox.core import Fields, ManifestError, to_json_bytes
from inferox.package import FORMAT_VERSION, FileEntry, Metadata, ModelInfo
from inferox.package.manifest import read_json, read_object
from tests.package.packages import make_info

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=20)
OPTIONAL = st.none() | TEXT
ENTRIES = st.builds(
    FileEntry, TEXT, st.integers(0, 2**63 - 1), st.text(alphabet="0123456789abcdef", min_size=64, max_size=64)
)
METADATA = st.builds(
    Metadata,
    st.just(FORMAT_VERSION),
    TEXT,
    TEXT,
    OPTIONAL,
    OPTIONAL,
    TEXT,
    OPTIONAL,
    st.lists(ENTRIES, max_size=4, unique_by=lambda entry: entry.path).map(tuple),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(METADATA)
def test_metadata_read_back(tmp_path: Path, metadata: Metadata) -> None:
    (tmp_path / "metadata.json").write_bytes(to_json_bytes(metadata.to_json()))
    assert Metadata.from_json(read_json(tmp_path / "metadata.json")) == metadata


def test_a_description_reads_back(tmp_path: Path) -> None:
    info = make_info(tmp_path)
    assert ModelInfo.from_json(json.loads(to_json_bytes(info.to_json())), tmp_path) == info


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'{"name": 1, "name": 2}', "'name' appears twice"),
        (b'{"a": {"b": 1, "b": 1}}', "'b' appears twice"),
        (rb'{"name": "\ud800"}', "name: .* a lone surrogate"),
        (rb'{"\udfff": 1}', "a lone surrogate"),
    ],
)
def test_json_that_others_could_read_otherwise(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "metadata.json").write_bytes(content)
    with pytest.raises(ManifestError, match=text):
        read_json(tmp_path / "metadata.json")


def test_pairs_of_surrogates_are_characters(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_bytes(rb'{"name": "\ud83d\ude00"}')
    assert read_json(tmp_path / "metadata.json") == {"name": "\U0001f600"}


def test_an_object_is_an_object(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ManifestError, match=r"config\.json must be a JSON object"):
        read_object(tmp_path / "config.json")


@pytest.mark.parametrize("value", [None, True, "1", [], {}])
def test_a_number_is_a_number(value: Any) -> None:
    assert Fields({"x": 1, "y": 0.5}, "it").number("x") == 1.0
    assert Fields({"x": 1, "y": 0.5}, "it").number("y") == 0.5
    with pytest.raises(ManifestError, match="'x'"):
        Fields({"x": value}, "it").number("x")
