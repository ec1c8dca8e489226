"""The input of a bulk run is recognised by its fingerprint."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferox.bulk.inputs import fingerprint


@pytest.mark.parametrize("size", [2**20, 16 * 2**20, 16 * 2**20 + 1, 17 * 2**20, 17 * 2**20 + 1, 40 * 2**20])
def test_a_changed_end_changes_the_fingerprint(tmp_path: Path, size: int) -> None:
    file = tmp_path / "rows.txt"
    file.write_bytes(b"\0" * size)
    before = fingerprint(file)
    with file.open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\1")
    assert fingerprint(file)["sampled_sha256"] != before["sampled_sha256"]
