"""The store's limit: what is removed first; nothing that a process uses is removed."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from inferox.core import ConfigError, IntegrityError, PackageError
from inferox.package import Store, StoredPackage, file_lock, open_package
from inferox.package.archive import write_archive
from inferox.package.file_lock import FileLock
from inferox.package.unpacked_packages import UnpackedPackages
from tests.package.packages import write_package

ROOT = Path(__file__).parents[2]


def write_packages(folder: Path, count: int, size_bytes: int = 100_000) -> list[Path]:
    """Makes archives of packages that differ in their weights, which are most of their size."""
    return [write_package(folder / f"{index}.mlpkg", weights=bytes([index]) * size_bytes) for index in range(count)]


def names(store: Store) -> set[str]:
    return {path.name for path in (store.root / "packages").iterdir()}


@contextmanager
def running(program: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process that has printed one line already, and ends once its input does."""
    process = subprocess.Popen(  # noqa: S603 - these tests' own programs
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == "ready\n", (line, process.communicate()[1])
        yield process
    finally:
        process.kill()
        process.communicate()


HOLD = """
import sys
from inferox.package import open_package
package = open_package(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
del package
print("let go", flush=True)
sys.stdin.readline()
"""


def test_a_package_that_another_process_has_open_is_never_removed(tmp_path: Path, store: Store) -> None:
    held, other = write_packages(tmp_path, 2)
    root = open_package(held).root
    with running(HOLD, held) as process:
        open_package(other)
        assert [package.in_use for package in store.packages()] == [True, False]
        done = store.prune(0)
        assert [package.root for package in done.kept] == [root]
        assert names(store) == {root.name}
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "let go\n"
        assert not store.packages()[0].in_use
        assert [package.root for package in store.prune(0).removed] == [root]
    assert names(store) == set()


def test_a_process_that_is_killed_lets_go(tmp_path: Path, store: Store) -> None:
    (archive,) = write_packages(tmp_path, 1)
    with running(HOLD, archive) as process:
        assert store.prune(0).removed == ()
        process.kill()
        process.wait()
        assert len(store.prune(0).removed) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_is_forked_holds_what_its_parent_held(tmp_path: Path, store: Store) -> None:
    (archive,) = write_packages(tmp_path, 1)
    package = open_package(archive)
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    del package
    try:
        assert store.prune(0).removed == ()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert len(store.prune(0).removed) == 1


def test_a_package_is_in_use_as_long_as_it_or_what_reads_it_lives(tmp_path: Path, store: Store) -> None:
    class Reader:
        """Anything that reads the package's files later."""

    (archive,) = write_packages(tmp_path, 1)
    first, second = open_package(archive), open_package(archive)
    reader = Reader()
    first.keep_for(reader)
    for name in ("first", "second", "reader"):
        assert store.prune(0).removed == (), name
        if name == "first":
            del first
        elif name == "second":
            del second
        else:
            del reader
    assert len(store.prune(0).removed) == 1


def test_a_folder_lies_in_no_store_and_may_be_kept_for_a_reader(tmp_path: Path, store: Store) -> None:
    package = open_package(write_package(tmp_path / "p"))
    package.keep_for(store)
    assert package.lock is None
    assert store.packages() == ()


def test_the_limit_holds_after_a_package_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    archives = write_packages(tmp_path, 5)
    monkeypatch.setenv("INFEROX_STORE_LIMIT", "250kB")
    for count, archive in enumerate(archives, 1):
        root = open_package(archive).root
        assert root.is_dir()
        assert len(names(store)) == min(count, 2)
        assert sum(package.size_bytes for package in store.packages()) <= 250_000
    assert store.packages()[-1].root == root


def test_what_was_opened_last_remains(tmp_path: Path, store: Store) -> None:
    archives = write_packages(tmp_path, 4)
    roots = [open_package(archive).root for archive in archives]
    for index in (2, 0):
        open_package(archives[index])
    assert [package.root for package in store.packages()] == [roots[index] for index in (1, 3, 2, 0)]
    done = store.prune(250_000)
    assert [package.root for package in done.removed] == [roots[1], roots[3]]
    assert [package.root for package in done.kept] == [roots[2], roots[0]]
    assert names(store) == {roots[2].name, roots[0].name}
    assert done.freed_bytes == sum(package.size_bytes for package in done.removed) > 200_000
    assert 200_000 < done.size_bytes <= 250_000


def test_the_use_of_a_package_that_was_unpacked_without_a_lock_is_when_it_was_unpacked(
    tmp_path: Path, store: Store
) -> None:
    archives = write_packages(tmp_path, 2)
    roots = [open_package(archive).root for archive in archives]
    shutil.rmtree(store.root / "uses")
    for root, seconds in zip(roots, (2_000_000, 1_000_000), strict=True):
        os.utime(root, (seconds, seconds))
    listed = store.packages()
    assert [(package.root, package.used_at.timestamp()) for package in listed] == [
        (roots[1], 1_000_000),
        (roots[0], 2_000_000),
    ]
    assert not (store.root / "uses").exists(), "listing writes nothing"
    assert [package.root for package in store.prune(150_000).removed] == [roots[1]]


def test_a_dry_run_removes_nothing(tmp_path: Path, store: Store) -> None:
    archives = write_packages(tmp_path, 2)
    held = open_package(archives[0])
    open_package(archives[1])
    before = sorted(path.relative_to(store.root) for path in store.root.rglob("*"))
    done = store.prune(0, dry_run=True)
    assert [package.root == held.root for package in (*done.kept, *done.removed)] == [True, False]
    after = {path.relative_to(store.root) for path in store.root.rglob("*")}
    assert after == {*before, Path("uses/.pruning")}


def test_what_is_removed_leaves_no_records_behind(tmp_path: Path, store: Store) -> None:
    (archive,) = write_packages(tmp_path, 1)
    open_package(archive)
    open_package(write_package(tmp_path / "folder"))
    of_others = len(list((tmp_path / "folder").rglob("*.*"))) - 1 + 1  # its files except the manifest, and the archive
    assert len(list((store.root / "verified").iterdir())) > of_others
    store.prune(0)
    assert len(list((store.root / "verified").iterdir())) == of_others
    assert [path.name for path in (store.root / "uses").iterdir()] == [".pruning"]


def test_a_package_that_is_opened_while_others_are_looked_at_is_kept(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = write_packages(tmp_path, 2)
    roots = [open_package(archive).root for archive in archives]
    held = []
    original = UnpackedPackages._list

    def list_and_open(packages: UnpackedPackages) -> tuple[StoredPackage, ...]:
        found = original(packages)
        held.append(open_package(archives[0]))
        return found

    monkeypatch.setattr(UnpackedPackages, "_list", list_and_open)
    done = store.prune(0)
    assert [package.root for package in done.removed] == roots[1:]
    assert [package.root for package in done.kept] == roots[:1]
    assert held[0].artifacts[0].path("weights").is_file()


def test_what_is_removed_is_unpacked_again(tmp_path: Path, store: Store) -> None:
    (archive,) = write_packages(tmp_path, 1)
    root = open_package(archive).root
    store.prune(0)
    assert not root.exists()
    package = open_package(archive)
    assert package.root == root
    assert package.artifacts[0].path("weights").read_bytes() == bytes(100_000)


def test_packages_in_use_beyond_the_limit_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    archives = write_packages(tmp_path, 2)
    monkeypatch.setenv("INFEROX_STORE_LIMIT", "150kB")
    with caplog.at_level(logging.INFO):
        first = open_package(archives[0])
        assert caplog.messages == []
        second = open_package(archives[1])
    assert "its limit is 150,000 (INFEROX_STORE_LIMIT); they are in use" in caplog.messages[-1]
    assert names(store) == {first.root.name, second.root.name}
    first_digest = first.root.name
    del first
    with caplog.at_level(logging.INFO):
        open_package(write_package(tmp_path / "small.mlpkg", weights=b"small"))
    assert "the store is full: removed small, " in caplog.messages[-1]
    assert first_digest not in names(store)


@pytest.mark.parametrize("limit", ["50GB", "none"])
def test_a_disk_that_is_full_has_room_made_on_it(
    tmp_path: Path, store: Store, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk has room for two packages and a bit."""
    monkeypatch.setenv("INFEROX_STORE_LIMIT", limit)
    archives = write_packages(tmp_path, 4)

    def measure_disk(_: object) -> SimpleNamespace:
        return SimpleNamespace(free=250_000 - sum(package.size_bytes for package in store.packages()))

    monkeypatch.setattr(shutil, "disk_usage", measure_disk)
    first, second = (open_package(archive) for archive in archives[:2])
    with pytest.raises(PackageError, match=r"unpacking needs .* are free .*inferox store prune --all"):
        open_package(archives[2])
    digest = first.root.name
    del first
    with pytest.raises(PackageError, match="unpacking needs"):
        open_package(write_package(tmp_path / "large.mlpkg", weights=bytes(300_000)))
    assert names(store) == {digest, second.root.name}, "nothing is removed in vain"
    if limit == "none":
        with pytest.raises(PackageError, match="unpacking needs"):
            open_package(archives[2])
        return
    third = open_package(archives[2])
    assert names(store) == {second.root.name, third.root.name}
    assert digest not in names(store)


def test_a_store_without_a_limit_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFEROX_STORE_LIMIT", "none")
    store = Store()
    for archive in write_packages(tmp_path, 3):
        open_package(archive, store=store)
    assert store.limit_bytes is None
    assert len(names(store)) == 3


OPEN = """
import sys
from pathlib import Path
from inferox.package import open_package
print("ready", flush=True)
archives = sorted(Path(sys.argv[1]).glob("*.mlpkg"))
for turn in range(int(sys.argv[2])):
    archive = archives[turn % len(archives)]
    package = open_package(archive)
    weights = package.artifacts[0].path("weights").read_bytes()
    assert weights == bytes([int(archive.stem)]) * len(weights) and len(weights) == 300_000, archive
    assert package.samples() is not None
    assert package.proof_cases() is None
print("done", flush=True)
"""

PRUNE = """
import sys
from pathlib import Path
from inferox.package import Store
print("ready", flush=True)
removed = 0
while not Path(sys.argv[1]).exists():
    removed += len(Store().prune(int(sys.argv[2])).removed)
print(removed, flush=True)
"""


def test_processes_that_open_and_prune_at_once_never_meet_half_a_package(tmp_path: Path, store: Store) -> None:
    write_packages(tmp_path, 3, 300_000)
    with (
        running(PRUNE, tmp_path / "stop", 0) as eager,
        running(PRUNE, tmp_path / "stop", 650_000) as modest,
        running(OPEN, tmp_path, 45) as first,
        running(OPEN, tmp_path, 45) as second,
    ):
        for opener in (first, second):
            out, err = opener.communicate(timeout=120)
            assert (out, opener.returncode) == ("done\n", 0), err
        removed = 0
        (tmp_path / "stop").touch()
        for pruner in (eager, modest):
            out, err = pruner.communicate(timeout=60)
            assert pruner.returncode == 0, err
            removed += int(out)
    assert removed > 5
    store.prune(0)
    assert names(store) == set()


PRUNE_AND_STOP = """
import os, signal, sys
from inferox.package import Store
print("ready", flush=True)
sys.stdin.readline()
steps = 0

def count(event, _):
    global steps
    if event.partition(".")[0] in {"open", "os", "shutil", "tempfile"}:
        steps += 1
        if steps == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)

store = Store()
sys.addaudithook(count)
assert len(store.prune(0).removed) == 1
print("survived", flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill")
def test_a_pruning_that_is_killed_at_any_step_leaves_a_whole_package_or_none(tmp_path: Path, store: Store) -> None:
    (archive,) = write_packages(tmp_path, 1)
    stopped = {"whole": 0, "none": 0}
    for step in range(1, 200, 3):
        root = open_package(archive).root
        with running(PRUNE_AND_STOP, step) as process:
            out, err = process.communicate("\n", timeout=60)
        assert process.returncode in {0, -signal.SIGKILL}, err
        stopped["whole" if root.exists() else "none"] += 1
        assert len(open_package(archive).artifacts[0].path("weights").read_bytes()) == 100_000
        if out:
            break
    assert out == "survived\n"
    assert min(stopped.values()) > 0
    store.prune(0)
    assert names(store) == set(), "what the killed left half removed is removed by the next"


def test_archives_that_are_refused_leave_no_locks(tmp_path: Path, store: Store) -> None:
    folder = write_package(tmp_path / "p")
    (folder / "tokenizer.json").write_bytes(b"[]")
    write_archive(folder, tmp_path / "damaged.mlpkg")
    (tmp_path / "cut.mlpkg").write_bytes((tmp_path / "damaged.mlpkg").read_bytes()[:-9])
    for name in ("damaged", "cut"):
        with pytest.raises(IntegrityError):
            open_package(tmp_path / f"{name}.mlpkg")
    store.prune(0)
    assert [path.name for path in (store.root / "uses").iterdir()] == [".pruning"]


def test_damaged_packages_are_listed_and_removed(tmp_path: Path, store: Store) -> None:
    archives = write_packages(tmp_path, 3)
    roots = [open_package(archive).root for archive in archives]
    (roots[0] / "metadata.json").write_text("[]")
    (roots[1] / "metadata.json").write_text(json.dumps({"name": 5, "version": "7"}))
    shutil.rmtree(roots[2])
    roots[2].mkdir()
    listed = {package.root: (package.name, package.version) for package in store.packages()}
    assert listed == {roots[0]: (None, None), roots[1]: (None, "7"), roots[2]: (None, None)}
    assert len(store.prune(0).removed) == 3


def test_where_there_are_no_locks_packages_open_and_none_is_removed(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(file_lock, "_lock", fail)
    (archive,) = write_packages(tmp_path, 1)
    open_package(archive)
    assert [package.in_use for package in store.packages()] == [True]
    assert store.prune(0).removed == ()
    assert open_package(archive).root.is_dir()


@pytest.fixture
def reading_alone() -> Iterator[Path]:
    """A folder of root's, while this process is another user, who may read it."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    folder = Path(tempfile.mkdtemp(prefix="inferox-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_store_that_can_only_be_read_has_its_packages_opened(reading_alone: Path) -> None:
    one, without_lock, other = write_packages(reading_alone, 3)
    root = reading_alone / "store"
    opened = [open_package(archive, store=Store(root)).root for archive in (one, without_lock)]
    (root / "uses" / opened[1].name).unlink()
    for path in (root, *root.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    umask = os.umask(0o022)
    os.seteuid(12345)
    try:
        store = Store(root)
        package = open_package(one, store=store)
        assert package.lock is not None
        assert open_package(without_lock, store=store).lock is None
        assert sorted(stored.in_use for stored in store.packages()) == [False, True]
        assert len(store.prune(0).kept) == 2
        with pytest.raises(ConfigError, match="cannot be written"):
            open_package(other, store=store)
        os.seteuid(0)
        shutil.rmtree(root / "uses")
        os.seteuid(12345)
        assert open_package(one, store=store).lock is None
        assert len(store.prune(0).kept) == 2
    finally:
        os.seteuid(0)
        os.umask(umask)
    del package


def test_a_lock_that_was_removed_while_it_was_waited_for_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    original = file_lock._lock
    removals = [path.unlink, path.unlink]

    def lock(descriptor: int, *, shared: bool, wait: bool) -> None:
        original(descriptor, shared=shared, wait=wait)
        if removals:
            removals.pop()()

    monkeypatch.setattr(file_lock, "_lock", lock)
    with FileLock.share(path):
        assert not removals
        assert path.exists()
        assert FileLock.exclude(path) is None
    path.unlink()
    removals += [path.unlink, path.unlink]
    alone = FileLock.exclude(path)
    assert alone is not None
    assert not removals
    assert path.exists()
    alone.close()


def test_locks_are_shared_or_held_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with FileLock.share(path), FileLock.share(path) as second:
        assert FileLock.exclude(path) is None
        second.close()
        second.close()
        assert FileLock.exclude(path) is None
    alone = FileLock.exclude(path)
    assert alone is not None
    assert FileLock.exclude(path) is None
    assert FileLock.exclude(path, must_exclude=False) is None
    with running(WAIT, path) as process:
        assert process.stdout is not None
        time.sleep(0.1)
        alone.close()
        assert process.stdout.readline() == "shared\n"


WAIT = """
import sys
from pathlib import Path
from inferox.package.file_lock import FileLock
assert FileLock.exclude(Path(sys.argv[1])) is None
print("ready", flush=True)
with FileLock.share(Path(sys.argv[1])):
    print("shared", flush=True)
"""
