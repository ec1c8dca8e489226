"""Staging: what concurrent readers and writers of one output see."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from inferox.core import ConfigError, PackageError
from inferox.package import open_package, staging
from tests.package.packages import WEIGHTS, write_package


def test_a_package_that_is_replaced_at_that_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = write_package(tmp_path / "p")
    rename = Path.rename
    moved = threading.Event()

    def rename_slowly(path: Path, target: Path) -> Path:
        if target == output:
            moved.set()
            time.sleep(0.3)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_slowly)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_package, output, force=True, weights=b"new")
        assert moved.wait(30)
        assert not output.exists()
        assert open_package(output).artifacts[0].path("weights").read_bytes() == b"new"
        writing.result()


def test_waiting_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "_LONGEST_WAIT_S", 0.05)
    (staging.make_staging(tmp_path / "p") / "replaced").mkdir()
    with pytest.raises(PackageError, match="there is no package"):
        open_package(tmp_path / "p")


def test_a_target_that_comes_back_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = write_package(tmp_path / "p")
    mine = staging.make_staging(output)
    shutil.copytree(output, mine / "replaced")
    answers = iter([False])
    exists = Path.exists

    def missing_once(path: Path, **options: bool) -> bool:
        return next(answers, True) if path == output else exists(path, **options)

    monkeypatch.setattr(Path, "exists", missing_once)
    staging.remove_staging(mine, output)
    assert list(tmp_path.iterdir()) == [output]


def test_writers_of_one_folder_at_once(tmp_path: Path) -> None:
    """One that meets another may be refused; the output is complete all the same, and nothing is left beside it."""
    output = write_package(tmp_path / "p")

    def write(index: int) -> int:
        written = 0
        for _ in range(10):
            with suppress(PackageError, ConfigError):
                write_package(output, force=True, weights=bytes([index]) * len(WEIGHTS))
                written += 1
        return written

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(write, range(3))) > 0
    assert len(set(open_package(output).artifacts[0].path("weights").read_bytes())) == 1
    assert list(tmp_path.iterdir()) == [output]
