"""Writing a package: the old one or the new one, whatever happens."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inferox.core import ConfigError, InferoxError, IntegrityError, PackageError, UnsafePathError, to_json_bytes
from inferox.package import PackageWriter, open_package, staging
from tests.package.packages import WEIGHTS, write_package

OUTPUTS = ["p", "p.mlpkg"]


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_was_written_reads_back(tmp_path: Path, name: str) -> None:
    package = open_package(write_package(tmp_path / name))
    assert package.metadata.name == "small"
    assert [entry.path for entry in package.metadata.files] == [
        "model_info.json",
        "parity.json",
        "samples.safetensors",
        "tokenizer.json",
        "weights/model.safetensors",
    ]
    assert package.info.task_options == {"a": [1, None, "é"]}
    assert package.artifacts[0].path("weights").read_bytes() == WEIGHTS
    samples = package.samples()
    assert samples is not None
    assert [batch.outputs["x"].tolist() for batch in samples.batches] == [[[0, 2], [4, 6]], [[0, 2]]]
    assert package.size_bytes > len(WEIGHTS)
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_an_archive_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    first, second = write_package(tmp_path / "a.mlpkg"), write_package(tmp_path / "b.mlpkg")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_exists_is_refused_before_any_work(tmp_path: Path, name: str) -> None:
    write_package(tmp_path / name)
    with pytest.raises(ConfigError, match="already exists"):
        PackageWriter(tmp_path / name)
    write_package(tmp_path / name, force=True, weights=b"new")
    assert open_package(tmp_path / name).artifacts[0].path("weights").read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [tmp_path / name]


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_force_replaces_nothing_but_a_package(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "mine"
    if kind == "folder":
        target.mkdir()
        (target / "thesis.txt").write_text("years of work")
    elif kind == "file":
        target.write_text("years of work")
    else:
        target.symlink_to(write_package(tmp_path / "elsewhere"))
    with pytest.raises(ConfigError, match="is not replaced"):
        PackageWriter(target, force=True)
    assert target.exists()


def test_force_replaces_no_package_that_holds_something_of_the_users(tmp_path: Path) -> None:
    package = write_package(tmp_path / "p")
    (package / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="or has other files in it, and is not replaced"):
        PackageWriter(package, force=True)
    assert (package / "thesis.txt").read_text() == "years of work"


def test_force_replaces_a_damaged_package(tmp_path: Path) -> None:
    package = write_package(tmp_path / "p")
    (package / "tokenizer.json").unlink()
    (package / "model_info.json").write_bytes(b"")
    write_package(package, force=True)
    assert open_package(package).metadata.name == "small"


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("force", [False, True])
def test_what_came_to_lie_there_in_the_meantime_is_kept(tmp_path: Path, name: str, force: bool) -> None:
    def interfere(_: PackageWriter) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("years of work")

    with pytest.raises(ConfigError, match="is not replaced" if force else "already exists"):
        write_package(tmp_path / name, force=force, before_commit=interfere)
    assert [path.name for path in (tmp_path / name).iterdir()] == ["thesis.txt"]
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def link(writer: PackageWriter) -> None:
    (writer.root / "vocabulary.txt").symlink_to("/etc/passwd")


BAD_CONTENTS: dict[str, tuple[type[InferoxError], str, Callable[[PackageWriter], object]]] = {
    "a link": (UnsafePathError, "link", link),
    "a pipe": (UnsafePathError, "special", lambda writer: os.mkfifo(writer.root / "pipe")),
    "an odd name": (UnsafePathError, "not a plain path", lambda writer: (writer.root / "a:b").write_text("x")),
    "a collision": (UnsafePathError, "one file", lambda writer: (writer.root / "Tokenizer.json").write_text("x")),
    "no weights": (IntegrityError, "needs", lambda writer: (writer.root / "weights/model.safetensors").unlink()),
}


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("content", BAD_CONTENTS)
def test_what_could_not_be_opened_is_not_written(tmp_path: Path, name: str, content: str) -> None:
    kind, text, change = BAD_CONTENTS[content]
    with pytest.raises(kind, match=text):
        write_package(tmp_path / name, before_commit=change)
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_that_stood_among_the_files_is_replaced(tmp_path: Path) -> None:
    package = write_package(
        tmp_path / "p", before_commit=lambda writer: (writer.root / "metadata.json").write_text("x")
    )
    assert open_package(package).metadata.name == "small"


def test_files_are_added_below_the_package_alone(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("content")
    (tmp_path / "out").mkdir()
    with PackageWriter(tmp_path / "out" / "p") as writer:
        writer.add(tmp_path / "source", "a/b/c.txt")
        assert (writer.root / "a" / "b" / "c.txt").read_text() == "content"
        for relative in ("../x", "/tmp/x", "a\\b", ""):  # noqa: S108 - what must be refused
            with pytest.raises(UnsafePathError):
                writer.add(tmp_path / "source", relative)
        with pytest.raises(PackageError, match="No such file"):
            writer.add(tmp_path / "gone", "x")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_failure_that_is_not_the_outputs_passes_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), PackageWriter(tmp_path / "p"):
        raise FileNotFoundError("a source")
    with pytest.raises(PackageError, match="free some space"), PackageWriter(tmp_path / "p"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_an_archive_is_not_replaced_by_one(tmp_path: Path) -> None:
    (tmp_path / "notes.mlpkg").mkdir()
    with pytest.raises(ConfigError, match="is not a package"):
        PackageWriter(tmp_path / "notes.mlpkg", force=True)


def test_no_folder_to_write_to(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        PackageWriter(tmp_path / "no" / "p")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("name", OUTPUTS)
def test_whatever_interrupts_leaves_the_old_package(tmp_path: Path, name: str, error: type[BaseException]) -> None:
    write_package(tmp_path / name)

    def interrupt(_: PackageWriter) -> None:
        raise error

    with pytest.raises(error):
        write_package(tmp_path / name, force=True, weights=b"new", before_commit=interrupt)
    assert open_package(tmp_path / name).artifacts[0].path("weights").read_bytes() == WEIGHTS
    assert list(tmp_path.iterdir()) == [tmp_path / name]


INTERRUPTED = """
import os, shutil, signal, sys
from pathlib import Path
from inferox.core import ConfigError, PackageError
from inferox.package import PackageWriter, open_package, staging
from tests.package.packages import write_package

staging._LONGEST_WAIT_S = 0.1  # nobody places what a reader would wait for

OLD, NEW = b"old " * 5000, b"new " * 5000
how, output = sys.argv[1], Path(sys.argv[2])


def replace_and_stop_at(step):
    # In a child process: every opened, made, moved or removed file is an event that Python announces beforehand.
    steps = 0

    def count(event, _):
        nonlocal steps
        if event.partition(".")[0] in {"open", "os", "shutil", "tempfile"}:
            steps += 1
            if steps == step:
                if how == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise KeyboardInterrupt

    sys.addaudithook(count)
    try:
        write_package(output, force=True, weights=NEW)
    except KeyboardInterrupt:
        os._exit(1)
    os._exit(0)


found, missing = set(), []
for step in range(1, 5000):
    for path in output.parent.iterdir():
        assert path == output or path.name.startswith(f".{output.name}.inferox-staging-"), path
    write_package(output, force=True, weights=OLD)
    assert list(output.parent.iterdir()) == [output], (step, list(output.parent.iterdir()))
    process = os.fork()
    if process == 0:
        replace_and_stop_at(step)
    _, status = os.waitpid(process, 0)
    if not output.exists():  # killed between moving the old one away and the new one in: the next writer brings it back
        try:
            open_package(output)
        except PackageError as error:
            assert "the old one lies at" in str(error), (step, error)
        missing.append(step)
        try:
            PackageWriter(output)
        except ConfigError as error:
            assert "already exists" in str(error), (step, error)
    weights = open_package(output).artifacts[0].path("weights").read_bytes()
    assert weights in (OLD, NEW), step
    found.add(weights)
    # Whoever removes the package must not meet the half of one that was being deleted.
    shutil.rmtree(output) if output.is_dir() else output.unlink()
    try:
        open_package(output)
    except PackageError as error:
        assert "there is no package" in str(error), (step, error)
    if status == 0:
        break
assert found == {OLD, NEW}
assert len(missing) == (how == "kill" and output.suffix != ".mlpkg"), missing
print("survived after", step, "steps")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("how", ["kill", "interrupt"])
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_kill_or_ctrl_c_at_every_step_leaves_a_whole_package(tmp_path: Path, name: str, how: str) -> None:
    (tmp_path / "folder").mkdir()
    done = subprocess.run(  # noqa: S603 - this test's own program
        [sys.executable, "-c", INTERRUPTED, how, tmp_path / "folder" / name],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert "survived after" in done.stdout, done.stderr
    assert int(done.stdout.split()[-2]) > 30


KILLED = """
import sys
from pathlib import Path
from tests.package.packages import write_package
print("ready", flush=True)
for index in range(1000):
    write_package(Path(sys.argv[1]), force=True, weights=str(index).encode() * 20_000)
"""


@pytest.mark.usefixtures("_impatient_readers")
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_kill_at_any_moment_leaves_a_whole_package(tmp_path: Path, name: str) -> None:
    output = tmp_path / name
    write_package(output)
    for attempt in range(6):
        process = subprocess.Popen(  # noqa: S603 - this test's own program
            [sys.executable, "-c", KILLED, output], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.02 + 0.029 * attempt)
        process.kill()
        process.communicate()
        if not output.exists():  # a folder, killed between moving the old one and placing the new one
            with pytest.raises(PackageError, match="the old one lies at"):
                open_package(output)
            continue
        package = open_package(output)
        weights = package.artifacts[0].path("weights").read_bytes()
        assert weights == WEIGHTS or len(set(weights.decode())) <= 3
    write_package(output, force=True)
    assert list(tmp_path.iterdir()) == [output], "what killed writers left is removed by the next"


@pytest.fixture
def _impatient_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers do not wait long for the new package, which nobody places."""
    monkeypatch.setattr(staging, "_LONGEST_WAIT_S", 0.1)


def leave_replaced(tmp_path: Path, process: int) -> Path:
    """Leaves the state of a writer that was killed between moving the old package and placing the new one."""
    staging = tmp_path / f".p.inferox-staging-{process}-abandoned"
    package = write_package(tmp_path / "p")
    (staging / "package").mkdir(parents=True)
    package.rename(staging / "replaced")
    return staging


GONE = 2**22 + 1
"""No process has this id on Linux."""


@pytest.mark.usefixtures("_impatient_readers")
@pytest.mark.parametrize("process", [GONE, os.getpid()], ids=["gone", "alive"])
def test_a_reader_says_where_what_was_moved_aside_lies_and_leaves_it_there(tmp_path: Path, process: int) -> None:
    """The process may run on another machine that shares the disk, where its id means nothing here."""
    staging = leave_replaced(tmp_path, process)
    with pytest.raises(PackageError, match=f"there is no package .* the old one lies at {staging / 'replaced'}"):
        open_package(tmp_path / "p")
    assert open_package(staging / "replaced").metadata.name == "small"
    assert list(tmp_path.iterdir()) == [staging]


def test_a_writer_brings_back_what_was_moved_aside(tmp_path: Path) -> None:
    leave_replaced(tmp_path, GONE)
    with pytest.raises(ConfigError, match="already exists"):
        PackageWriter(tmp_path / "p")
    assert list(tmp_path.iterdir()) == [tmp_path / "p"]


def test_what_a_dead_writer_left_is_removed_also_where_its_number_was_given_again(tmp_path: Path) -> None:
    left = tmp_path / f".p.inferox-staging-{os.getpid()}-abandoned"
    left.mkdir()
    os.utime(left, (1, 1))
    write_package(tmp_path / "p")
    assert list(tmp_path.iterdir()) == [tmp_path / "p"]


def test_a_living_writers_work_is_left_alone(tmp_path: Path) -> None:
    with PackageWriter(tmp_path / "p") as first, PackageWriter(tmp_path / "p") as second:
        assert first.root.is_dir()
        assert second.root.is_dir()
        assert first.root != second.root


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(  # noqa: S603
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk],  # noqa: S607
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"this sandbox mounts nothing: {mounted.stderr.decode()}")
    yield disk
    subprocess.run(["umount", disk], check=True)  # noqa: S603, S607


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_full_disk_leaves_nothing_half_written(small_disk: Path, name: str) -> None:
    """The less is free, the sooner the disk is full: during the weights, the samples, the manifest or the archive."""
    output = write_package(small_disk / name)
    outcomes = []
    for free in range(0, 96, 4):
        filler = small_disk / "filler"
        filler.write_bytes(bytes((shutil.disk_usage(small_disk).free // 4096 - free // 4) * 4096))
        try:
            write_package(output, force=True, weights=b"new")
            outcomes.append("written")
        except PackageError as error:
            outcomes.append(str(error))
        filler.unlink()
        weights = open_package(output).artifacts[0].path("weights").read_bytes()
        assert weights == (b"new" if outcomes[-1] == "written" else WEIGHTS)
        assert list(small_disk.iterdir()) == [output]
        write_package(output, force=True)
    full = [outcome for outcome in outcomes if outcome != "written"]
    assert all("No space left on device (free some space" in outcome for outcome in full)
    assert outcomes == [*full, *["written"] * (len(outcomes) - len(full))]
    assert 3 < len(full) < len(outcomes) - 3


def test_a_disk_too_full_to_begin_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", fail)
        with pytest.raises(PackageError, match="free some space"):
            PackageWriter(tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="there is no folder"):
        PackageWriter(tmp_path / "file" / "p")


def test_manifests_are_readable_json() -> None:
    assert to_json_bytes({"é": [1]}) == '{\n  "é": [\n    1\n  ]\n}\n'.encode()
    with pytest.raises(ValueError, match="JSON"):
        to_json_bytes(float("nan"))
