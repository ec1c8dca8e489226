"""Unpacking without a second copy, if the file system can share blocks."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from inferox.core import IntegrityError, PackageError
from inferox.package import archive as archive_module
from inferox.package import open_package
from inferox.package.archive import extract_archive, write_archive
from inferox.package.block_sharing import BLOCK_BYTES, share_blocks
from tests.package.packages import write_package

FILES = {
    "a": b"small",
    "b": os.urandom(3 * BLOCK_BYTES),
    "c": os.urandom(2 * BLOCK_BYTES + 1),
    "d/e": os.urandom(3 * BLOCK_BYTES - 1),
    "f": os.urandom(BLOCK_BYTES - 1),
}
LARGE = {name for name, content in FILES.items() if len(content) >= 2 * BLOCK_BYTES}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files, in which two blocks already count as large."""
    monkeypatch.setattr(archive_module, "_LARGE_BYTES", 2 * BLOCK_BYTES)
    for name, content in FILES.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "source"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def share_like_a_file_system(source: BinaryIO, offset: int, size_bytes: int, target: BinaryIO) -> int:
    """Shares files in the test's own way, under the same conditions as a file system."""
    assert offset % BLOCK_BYTES == 0
    whole_bytes = size_bytes - size_bytes % BLOCK_BYTES
    source.seek(offset)
    target.write(source.read(whole_bytes))
    return whole_bytes


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("limit", [zipfile.ZIP64_LIMIT, BLOCK_BYTES])
def test_large_members_begin_at_blocks_and_come_back(
    source: Path, target: Path, tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit from which sizes are written with 64 bits is lowered, so that no test needs gigabytes."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
    write_archive(source, tmp_path / "x.mlpkg")
    shared = []

    def share(archive: BinaryIO, offset: int, size_bytes: int, copy: BinaryIO) -> int:
        shared.append(Path(copy.name).relative_to(target).as_posix())
        return share_like_a_file_system(archive, offset, size_bytes, copy)

    monkeypatch.setattr(archive_module, "share_blocks", share)
    extract_archive(tmp_path / "x.mlpkg", target)
    assert set(shared) == LARGE
    assert contents(target) == FILES
    with zipfile.ZipFile(tmp_path / "x.mlpkg") as bundle:
        assert bundle.testzip() is None
        assert {info.filename: bundle.read(info) for info in bundle.infolist()} == FILES
    assert (tmp_path / "x.mlpkg").stat().st_size < sum(map(len, FILES.values())) + (len(LARGE) + 1) * BLOCK_BYTES


@pytest.mark.parametrize("place", [0, BLOCK_BYTES, -1])
def test_shared_members_are_checked_from_the_first_byte_to_the_last(
    source: Path, target: Path, tmp_path: Path, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_archive(source, tmp_path / "x.mlpkg")
    monkeypatch.setattr(archive_module, "share_blocks", share_like_a_file_system)
    content = bytearray((tmp_path / "x.mlpkg").read_bytes())
    begin = content.index(FILES["c"])
    content[begin + place % len(FILES["c"])] ^= 1
    (tmp_path / "x.mlpkg").write_bytes(content)
    with pytest.raises(IntegrityError, match="Bad CRC-32 for file 'c'"):
        extract_archive(tmp_path / "x.mlpkg", target)


def test_what_is_shared_needs_no_space(
    source: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_archive(source, tmp_path / "x.mlpkg")
    rest = sum(len(content) % BLOCK_BYTES if name in LARGE else len(content) for name, content in FILES.items())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - rest, rest))
    with pytest.raises(PackageError, match=f"but {rest:,} are free"):
        extract_archive(tmp_path / "x.mlpkg", target)
    shutil.rmtree(target)
    target.mkdir()
    monkeypatch.setattr(archive_module, "share_blocks", share_like_a_file_system)
    extract_archive(tmp_path / "x.mlpkg", target)
    assert contents(target) == FILES


@pytest.mark.parametrize("shares", [True, False])
def test_it_is_said_what_is_shared_and_what_is_a_copy(
    source: Path,
    target: Path,
    shares: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    archive = source.with_name("x.mlpkg")
    write_archive(source, archive)
    monkeypatch.setattr(archive_module, "share_blocks", share_like_a_file_system if shares else lambda *_: 0)
    with caplog.at_level(logging.INFO):
        extract_archive(archive, target)
    said = "shares its blocks with the archive" if shares else "is a copy, as it cannot share the archive's blocks"
    assert caplog.messages == [f"{name}, {len(FILES[name]):,} bytes, {said}" for name in sorted(LARGE)]
    assert contents(target) == FILES


def test_what_does_not_begin_at_a_block_or_has_none_is_not_shared(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(4 * BLOCK_BYTES))
    for offset, size_bytes in ((1, 2 * BLOCK_BYTES), (0, BLOCK_BYTES - 1)):
        with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb") as copy:
            assert share_blocks(source, offset, size_bytes, copy) == 0
        assert (tmp_path / "target").stat().st_size == 0


@pytest.fixture(params=["xfs", "btrfs"])
def sharing_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A disk of a file system that shares blocks."""
    make = shutil.which(f"mkfs.{request.param}")
    if make is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip(f"mounting {request.param} needs root and mkfs.{request.param}")
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    with image.open("wb") as stream:
        stream.truncate(400 << 20)
    subprocess.run([make, "-q", image], check=True, capture_output=True)  # noqa: S603
    mounted = subprocess.run(["mount", "-o", "loop", image, disk], capture_output=True, check=False)  # noqa: S603, S607
    if mounted.returncode:
        pytest.skip(f"this sandbox mounts nothing: {mounted.stderr.decode()}")
    yield disk
    # If a test fails, its traceback still has files open there.
    subprocess.run(["umount", "--lazy", disk], check=True)  # noqa: S603, S607


def test_an_archive_that_would_not_fit_twice_is_opened_where_blocks_are_shared(
    sharing_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sharing_disk.chmod(0o700)
    monkeypatch.setenv("INFEROX_STORE", str(sharing_disk / "store"))
    weights = os.urandom(30_000_001)
    archive = write_package(sharing_disk / "p.mlpkg", weights=weights)
    os.sync()
    free_bytes = shutil.disk_usage(sharing_disk).free
    (sharing_disk / "filler").write_bytes(bytes(free_bytes - 20_000_000))
    path = open_package(archive).artifacts[0].path("weights")
    assert path.read_bytes() == weights
    (sharing_disk / "filler").unlink()
    archive.write_bytes(bytes(archive.stat().st_size))
    assert path.read_bytes() == weights
