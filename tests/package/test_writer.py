"""Writing a package: the old one or the new one, whatever happens."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inferox.core import ConfigError, PackageError
from inferox.package import PackageWriter, open_package
from inferox.package.manifest import to_json_bytes
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
    with pytest.raises(ConfigError, match="exists already"):
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
    with pytest.raises(ConfigError, match="is no package, and is not replaced"):
        PackageWriter(target, force=True)
    assert target.exists()


def test_a_file_that_is_no_archive_is_not_replaced_by_one(tmp_path: Path) -> None:
    (tmp_path / "notes.mlpkg").mkdir()
    with pytest.raises(ConfigError, match="is no package"):
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


KILLED = """
import sys, time
from pathlib import Path
from tests.package.packages import write_package
print("ready", flush=True)
for index in range(1000):
    write_package(Path(sys.argv[1]), force=True, weights=str(index).encode() * 20_000)
"""


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_kill_at_any_moment_leaves_a_whole_package(tmp_path: Path, name: str) -> None:
    output = tmp_path / name
    write_package(output)
    for attempt in range(12):
        process = subprocess.Popen(  # noqa: S603 - this test's own program
            [sys.executable, "-c", KILLED, output], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.02 + 0.013 * attempt)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        package = open_package(output)
        weights = package.artifacts[0].path("weights").read_bytes()
        assert weights == WEIGHTS or len(set(weights.decode())) <= 3
    write_package(output, force=True)
    assert list(tmp_path.iterdir()) == [output], "what killed writers left is removed by the next"


def test_a_folder_that_was_moved_aside_comes_back(tmp_path: Path) -> None:
    write_package(tmp_path / "p")
    (tmp_path / "p").rename(tmp_path / ".p.inferox-replaced")
    assert open_package(tmp_path / "p").metadata.name == "small"
    shutil.copytree(tmp_path / "p", tmp_path / ".p.inferox-replaced")
    assert open_package(tmp_path / "p").metadata.name == "small"
    assert list(tmp_path.iterdir()) == [tmp_path / "p"]


def test_a_writer_also_brings_back_what_was_moved_aside(tmp_path: Path) -> None:
    write_package(tmp_path / "p")
    (tmp_path / "p").rename(tmp_path / ".p.inferox-replaced")
    with pytest.raises(ConfigError, match="exists already"):
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


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a small disk needs root")
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, name: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(  # noqa: S603
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk],  # noqa: S607
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"this sandbox mounts nothing: {mounted.stderr.decode()}")
    try:
        write_package(disk / name)
        with pytest.raises(PackageError, match="No space left on device") as caught:
            write_package(disk / name, force=True, weights=bytes(10_000_000))
        assert "free some space" in str(caught.value)
        assert open_package(disk / name).artifacts[0].path("weights").read_bytes() == WEIGHTS
        assert list(disk.iterdir()) == [disk / name]
    finally:
        subprocess.run(["umount", disk], check=True)  # noqa: S603, S607


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="there is no folder"):
        PackageWriter(tmp_path / "file" / "p")


def test_manifests_are_readable_json() -> None:
    assert to_json_bytes({"é": [1]}) == '{\n  "é": [\n    1\n  ]\n}\n'.encode()
    with pytest.raises(ValueError, match="JSON"):
        to_json_bytes(float("nan"))
