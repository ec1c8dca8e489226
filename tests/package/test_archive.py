"""One file for a package: stored end to end, and read back as it was."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferox.package.archive import extract_archive, write_archive
from inferox.package.paths import check_distinct, check_member_path

NAMES = st.from_regex(r"[a-zéß0-9_-]{1,12}(\.[a-z]{1,4})?", fullmatch=True)
FILES = st.dictionaries(NAMES, st.binary(max_size=300), max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(FILES, st.booleans())
def test_files_come_back(tmp_path_factory: object, files: dict[str, bytes], nested: bool) -> None:
    root: Path = tmp_path_factory.mktemp("archive")  # type: ignore[attr-defined]  # pytest's own factory
    source, target = root / "source", root / "target"
    folder = source / "a" / "b" if nested else source
    folder.mkdir(parents=True)
    target.mkdir()
    distinct = {name.casefold(): (name, content) for name, content in files.items()}
    for name, content in distinct.values():
        (folder / name).write_bytes(content)
    write_archive(source, root / "x.mlpkg")
    with zipfile.ZipFile(root / "x.mlpkg") as bundle:
        assert bundle.testzip() is None
        for info in bundle.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            check_member_path(info.filename)
        check_distinct(bundle.namelist())
    extract_archive(root / "x.mlpkg", target)
    found = {path.name: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert found == dict(distinct.values())


def test_members_beyond_the_limits_of_32_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit from which sizes are written with 64 bits is lowered, so that no test needs gigabytes."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    files = {"a": b"a" * 90, "b": b"b" * 1000, "c": b"c" * 99, "d": b""}
    for name, content in files.items():
        (source / name).write_bytes(content)
    write_archive(source, tmp_path / "x.mlpkg")
    assert b"PK\x06\x06" in (tmp_path / "x.mlpkg").read_bytes()
    extract_archive(tmp_path / "x.mlpkg", target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == files
