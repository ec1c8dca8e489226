"""The store: unpacked once, verified once, and safe to share."""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inferox.core import ConfigError, IntegrityError, PackageError
from inferox.package import Store, open_package, reader, writer
from inferox.package import store as store_module
from inferox.package.archive import extract_archive
from tests.package.packages import write_package


def test_a_second_opening_reads_no_file_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []

    def count(path: Path) -> str:
        hashed.append(path)
        return original(path)

    original = writer.hash_file
    monkeypatch.setattr(reader, "hash_file", count)
    monkeypatch.setattr(store_module, "hash_file", count)
    for name in ("p", "p.mlpkg"):
        write_package(tmp_path / name)
        open_package(tmp_path / name)
        assert hashed
        hashed.clear()
        open_package(tmp_path / name)
        assert hashed == []


def test_a_change_after_verification_is_noticed(tmp_path: Path) -> None:
    write_package(tmp_path / "p")
    open_package(tmp_path / "p")
    weights = tmp_path / "p" / "weights" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[7] ^= 1
    weights.write_bytes(content)
    with pytest.raises(IntegrityError, match="differs"):
        open_package(tmp_path / "p")


def test_an_archive_that_is_replaced_is_unpacked_again(tmp_path: Path) -> None:
    write_package(tmp_path / "p.mlpkg")
    first = open_package(tmp_path / "p.mlpkg")
    write_package(tmp_path / "p.mlpkg", force=True, weights=b"new")
    second = open_package(tmp_path / "p.mlpkg")
    assert first.root != second.root
    assert second.artifacts[0].path("weights").read_bytes() == b"new"


def test_many_openers_at_once(tmp_path: Path, store: Store) -> None:
    write_package(tmp_path / "p.mlpkg", weights=bytes(3_000_000))
    start = threading.Barrier(8)

    def open_one(_: int) -> Path:
        start.wait()
        return open_package(tmp_path / "p.mlpkg").root

    with ThreadPoolExecutor(8) as pool:
        roots = set(pool.map(open_one, range(8)))
    assert len(roots) == 1
    assert [path.name for path in (store.root / "packages").iterdir()] == [roots.pop().name]


def test_records_that_are_damaged_are_made_again(tmp_path: Path, store: Store) -> None:
    write_package(tmp_path / "p")
    open_package(tmp_path / "p")
    for path in (store.root / "verified").iterdir():
        path.write_bytes(b"\xff{")
    assert open_package(tmp_path / "p").metadata.name == "small"


def test_a_store_that_was_deleted_is_made_again(tmp_path: Path, store: Store) -> None:
    write_package(tmp_path / "p.mlpkg")
    open_package(tmp_path / "p.mlpkg")
    shutil.rmtree(store.root)
    assert open_package(tmp_path / "p.mlpkg").metadata.name == "small"


def test_the_store_is_private(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "store")
    open_package(write_package(tmp_path / "p.mlpkg"), store=store)
    for folder in (store.root, store.root / "packages", store.root / "verified"):
        assert folder.stat().st_mode & 0o077 == 0


def test_a_store_that_cannot_be_written_stops_archives_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    store = Store(tmp_path / "file" / "store")
    assert open_package(write_package(tmp_path / "p"), store=store).metadata.name == "small"
    with pytest.raises(ConfigError, match="INFEROX_STORE"):
        open_package(write_package(tmp_path / "p.mlpkg"), store=store)


def test_what_killed_unpackings_left_is_removed_after_a_day(tmp_path: Path, store: Store) -> None:
    old, recent = (store.root / "packages" / f".unpacking-{name}" for name in ("old", "recent"))
    for folder in (old, recent):
        folder.mkdir(parents=True)
    os.utime(old, (1, 1))
    open_package(write_package(tmp_path / "p.mlpkg"))
    assert not old.exists()
    assert recent.exists()


def test_an_archive_that_changes_while_it_is_unpacked(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_package(tmp_path / "p.mlpkg")
    original = extract_archive

    def extract(path: Path, folder: Path) -> None:
        original(path, folder)
        write_package(archive, force=True, weights=b"new")

    monkeypatch.setattr(store_module, "extract_archive", extract)
    with pytest.raises(IntegrityError, match="changed while"):
        store.unpack(archive)
    assert list((store.root / "packages").iterdir()) == []


def test_an_archive_that_is_gone(tmp_path: Path, store: Store) -> None:
    with pytest.raises(PackageError, match="cannot be read: No such file"):
        store.unpack(tmp_path / "gone.mlpkg")
