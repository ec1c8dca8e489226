"""The store: unpacked once, verified once, and safe to share."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from inferox.core import ConfigError, IntegrityError, PackageError
from inferox.package import FileEntry, Store, open_package, writer
from inferox.package import store as store_module
from inferox.package.archive import extract_archive, write_archive
from inferox.package.file_lock import FileLock
from tests.package.packages import WEIGHTS, write_package


def test_a_second_opening_reads_no_file_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []

    def count(path: Path) -> str:
        hashed.append(path)
        return original(path)

    original = writer.hash_file
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


def test_a_change_is_noticed_also_where_its_time_is_set_back(tmp_path: Path) -> None:
    write_package(tmp_path / "p")
    open_package(tmp_path / "p")
    weights = tmp_path / "p" / "weights" / "model.safetensors"
    before = weights.stat()
    with weights.open("r+b") as stream:
        stream.write(b"W")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(IntegrityError, match="differs"):
        open_package(tmp_path / "p")


def test_an_archive_is_unpacked_once(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_package(tmp_path / "p.mlpkg")
    folder = store.unpack(archive).root
    monkeypatch.setattr(store_module, "extract_archive", lambda *_: pytest.fail("unpacked again"))
    assert store.unpack(archive).root == folder


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
    for folder in (store.root, *(store.root / name for name in ("packages", "verified", "uses"))):
        assert folder.stat().st_mode & 0o077 == 0


def test_a_store_that_cannot_be_written_stops_archives_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    store = Store(tmp_path / "file" / "store")
    assert open_package(write_package(tmp_path / "p"), store=store).metadata.name == "small"
    with pytest.raises(ConfigError, match="INFEROX_STORE"):
        open_package(write_package(tmp_path / "p.mlpkg"), store=store)


def test_what_killed_unpackings_left_is_removed_by_the_next(tmp_path: Path, store: Store) -> None:
    left, running = (store.root / "packages" / f".unpacking-{name}" for name in ("left", "running"))
    for folder in (left, running):
        folder.mkdir(parents=True)
    (store.root / "uses").mkdir()
    (store.root / "uses" / left.name).touch()
    with FileLock.share(store.root / "uses" / running.name):
        root = open_package(write_package(tmp_path / "p.mlpkg")).root
    assert sorted(path.name for path in (store.root / "packages").iterdir()) == [running.name, root.name]
    assert {path.name for path in (store.root / "uses").iterdir()} == {running.name, root.name, ".pruning"}


def test_where_there_are_no_locks_what_killed_unpackings_left_is_removed_after_a_day(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileLock, "exclude", lambda *_, **__: None)
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

    def extract(path: Path, folder: Path, _: object) -> None:
        original(path, folder)
        write_package(archive, force=True, weights=b"new")

    monkeypatch.setattr(store_module, "extract_archive", extract)
    with pytest.raises(IntegrityError, match="changed while"):
        store.unpack(archive)
    assert list((store.root / "packages").iterdir()) == []


def test_an_archive_that_is_gone(tmp_path: Path, store: Store) -> None:
    with pytest.raises(PackageError, match="cannot be read: No such file"):
        store.unpack(tmp_path / "gone.mlpkg")


def test_what_was_changed_in_the_store_is_unpacked_again(tmp_path: Path, store: Store) -> None:
    archive = write_package(tmp_path / "p.mlpkg")
    root = open_package(archive).root
    for damage in (
        lambda: (root / "weights" / "model.safetensors").write_bytes(b"other"),
        (root / "tokenizer.json").unlink,
        lambda: (root / "metadata.json").write_bytes(b""),
        lambda: (root / "more").write_bytes(b""),
        lambda: (root / "link").symlink_to("/etc/passwd"),
    ):
        damage()
        package = open_package(archive)
        assert package.root == root
        assert package.artifacts[0].path("weights").read_bytes() == WEIGHTS
        assert [path.name for path in (store.root / "packages").iterdir()] == [root.name]


def test_an_archive_that_holds_a_damaged_package_stays_damaged(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "p")
    (folder / "tokenizer.json").write_bytes(b"[]")
    write_archive(folder, tmp_path / "p.mlpkg")
    for _ in range(2):
        with pytest.raises(IntegrityError, match=r"tokenizer\.json"):
            open_package(tmp_path / "p.mlpkg")


def test_nothing_is_discarded_that_is_not_there(tmp_path: Path, store: Store) -> None:
    archive = write_package(tmp_path / "p.mlpkg")
    assert not store.discard(archive)
    store.unpack(archive)
    assert store.discard(archive)
    assert list((store.root / "packages").iterdir()) == []


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
@pytest.mark.parametrize("name", ["", "packages", "verified", "profiles", "uses"])
def test_a_store_that_others_can_write_to_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    folder = tmp_path / "store" / name
    folder.mkdir(parents=True)
    folder.chmod(mode)
    with pytest.raises(ConfigError, match="any user can write to it"):
        Store(tmp_path / "store")


def test_a_store_that_others_made_meanwhile_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    (tmp_path / "store" / "packages").mkdir(parents=True)
    (tmp_path / "store" / "packages").chmod(0o777)
    with pytest.raises(ConfigError, match="any user can write to it"):
        store.unpack(write_package(tmp_path / "p.mlpkg"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="giving folders away needs root")
def test_a_store_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store" / "packages").mkdir(parents=True)
    os.chown(tmp_path / "store" / "packages", 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to another user"):
        Store(tmp_path / "store")


def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"right")
    entry = FileEntry("file", 5, writer.hash_file(path))

    def hash_and_change(_: Path) -> str:
        path.write_bytes(b"wrong")
        return entry.sha256

    with monkeypatch.context() as patched:
        patched.setattr(store_module, "hash_file", hash_and_change)
        assert store.verify(path, entry)
    assert not store.verify(path, entry)


def test_a_record_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(json, "dump", fail)
    assert open_package(write_package(tmp_path / "p")).metadata.name == "small"
    assert list((store.root / "verified").iterdir()) == []


def replace_unpacked(root: Path, replacement: Path) -> None:
    shutil.rmtree(root)
    shutil.copytree(replacement, root)


def test_another_package_in_the_place_of_an_unpacked_one_is_replaced(tmp_path: Path, store: Store) -> None:
    archive = write_package(tmp_path / "p.mlpkg")
    root = open_package(archive).root
    other = write_package(tmp_path / "other", weights=b"of a stranger")

    def link() -> None:
        shutil.rmtree(root)
        root.symlink_to(other)

    def put_a_file() -> None:
        shutil.rmtree(root)
        shutil.copy(archive, root)

    def put_a_package() -> None:
        replace_unpacked(root, other)

    def open_to_all() -> None:
        root.chmod(0o777)

    for put in (put_a_package, link, put_a_file, open_to_all):
        put()
        package = open_package(archive)
        assert package.root == root
        assert package.artifacts[0].path("weights").read_bytes() == WEIGHTS
        assert not root.is_symlink()
        assert root.stat().st_mode & 0o022 == 0
        assert [path.name for path in (store.root / "packages").iterdir()] == [root.name]
    assert (other / "metadata.json").is_file()


def test_a_forged_record_of_an_archives_digest_leads_nowhere(tmp_path: Path, store: Store) -> None:
    other = write_package(tmp_path / "other.mlpkg", weights=b"of a stranger")
    open_package(other)
    archive = write_package(tmp_path / "p.mlpkg")
    store._write(archive, {writer.hash_file(other): store_module._fingerprint(archive)})
    assert open_package(archive).artifacts[0].path("weights").read_bytes() == WEIGHTS


def test_a_package_of_format_1_in_the_place_of_another(tmp_path: Path, store: Store) -> None:
    for name in ("p", "other"):
        (tmp_path / name).mkdir()
        manifest = {"version": "1.0", "name": "old", "files": ["model_info.json"]}
        (tmp_path / name / "metadata.json").write_text(json.dumps(manifest))
        info: dict[str, Any] = {"model_type": name, "supported_backends": []}
        (tmp_path / name / "model_info.json").write_text(json.dumps(info))
    write_archive(tmp_path / "p", tmp_path / "p.mlpkg")
    package = open_package(tmp_path / "p.mlpkg", store=store)
    replace_unpacked(package.root, tmp_path / "other")
    assert open_package(tmp_path / "p.mlpkg", store=store).info.model_type == "p"


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_store_below_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    above = tmp_path / "above"
    (above / "mine" / "store").mkdir(parents=True, mode=0o700)
    above.chmod(mode)
    for root in (above / "mine" / "store", above / "mine" / "new" / "store"):
        with pytest.raises(ConfigError, match=f"{above} belongs to another user, or its group or any user can write"):
            Store(root)
    above.chmod(mode | 0o1000)
    Store(above / "mine" / "store")


def test_a_store_behind_a_link_is_checked_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "open" / "store").mkdir(parents=True)
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "open" / "store")
    with pytest.raises(ConfigError, match=r"open belongs to"):
        Store(tmp_path / "link")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="giving folders away needs root")
def test_a_link_or_a_folder_above_that_is_another_users_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "store")
    os.chown(tmp_path / "link", 12345, 12345, follow_symlinks=False)
    with pytest.raises(ConfigError, match="link belongs to another user"):
        Store(tmp_path / "link")
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 12345, 12345)
    with pytest.raises(ConfigError, match="theirs belongs to another user"):
        Store(tmp_path / "theirs" / "store")


UNPACK = """
import sys
from pathlib import Path
from inferox.package import Store
store = Store(Path(sys.argv[1]))
sys.stdin.read(1)
print(store.unpack(Path(sys.argv[2])).root.name)
"""


def test_many_processes_at_once(tmp_path: Path, store: Store) -> None:
    archive = write_package(tmp_path / "p.mlpkg", weights=bytes(3_000_000))
    processes = [
        subprocess.Popen(  # noqa: S603 - this test's own program
            [sys.executable, "-c", UNPACK, store.root, archive],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()
    names = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert names == {path.name for path in (store.root / "packages").iterdir()}
