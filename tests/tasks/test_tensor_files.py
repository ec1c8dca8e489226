"""Named tensors in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from inferox.core import RequestError
from inferox.tasks import read_tensors

TENSORS: dict[str, Any] = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "ids": np.array([1, 2], dtype=np.int64)}


def test_npz_keeps_names_shapes_and_data_types(tmp_path: Path) -> None:
    np.savez(tmp_path / "it.npz", **TENSORS)

    tensors = read_tensors(tmp_path / "it.npz")

    assert {name: array.dtype for name, array in tensors.items()} == {"x": np.float32, "ids": np.int64}
    np.testing.assert_array_equal(tensors["x"], TENSORS["x"])


def test_safetensors_keeps_names_shapes_and_data_types(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "it.safetensors")

    tensors = read_tensors(tmp_path / "it.safetensors")

    assert tensors["ids"].dtype == np.int64
    np.testing.assert_array_equal(tensors["x"], TENSORS["x"])


def test_json_gives_nested_lists(tmp_path: Path) -> None:
    (tmp_path / "it.json").write_text(json.dumps({"x": [[1, 2.5]]}))

    assert read_tensors(tmp_path / "it.json") == {"x": [[1, 2.5]]}


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".json"])
@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"PK\x03\x04cut", b"{", b"\xff\xfe"])
def test_damaged_files_are_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"it{suffix}"
    path.write_bytes(content)

    with pytest.raises(RequestError, match=rf"it\{suffix} is not (a readable \{suffix} file|JSON)"):
        read_tensors(path)


def test_an_archive_that_was_cut_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "it.npz", **TENSORS)
    (tmp_path / "it.npz").write_bytes((tmp_path / "it.npz").read_bytes()[:200])

    with pytest.raises(RequestError, match="is not a readable"):
        read_tensors(tmp_path / "it.npz")


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "it.npz", x=np.array([{"a": 1}], dtype=object))

    with pytest.raises(RequestError, match="is not a readable"):
        read_tensors(tmp_path / "it.npz")


def test_an_array_without_a_name_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "it.npy", np.ones(3))
    (tmp_path / "it.npy").rename(tmp_path / "it.npz")

    with pytest.raises(RequestError, match="a single array without a name"):
        read_tensors(tmp_path / "it.npz")


def test_json_must_name_its_tensors(tmp_path: Path) -> None:
    (tmp_path / "it.json").write_text("[1, 2]")

    with pytest.raises(RequestError, match="must be a JSON object with each input by name, but is a list"):
        read_tensors(tmp_path / "it.json")


def test_other_files_and_missing_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"it\.txt must have one of the suffixes \.npz, \.safetensors, \.json"):
        read_tensors(tmp_path / "it.txt")
    with pytest.raises(RequestError, match=r"it\.npz' cannot be read: No such file"):
        read_tensors(tmp_path / "it.npz")
