"""The real model, packed by the real command, once for all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="session")
def inferox(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Runs ``inferox`` as a user does: as a process of its own, with a store of its own."""
    environment = {**os.environ, "INFEROX_STORE": str(tmp_path_factory.mktemp("store")), "HF_HUB_OFFLINE": "1"}
    program = Path(sys.executable).with_name("inferox")

    def run(*arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(  # noqa: S603 - our own program
            [program, *arguments], input=stdin, capture_output=True, env=environment, cwd=cwd, timeout=240, check=False
        )

    return run


@pytest.fixture(scope="session")
def minilm_package(
    tmp_path_factory: pytest.TempPathFactory, inferox: Command, minilm_directory: Path
) -> Iterator[Path]:
    """all-MiniLM-L6-v2 as one file."""
    package = tmp_path_factory.mktemp("minilm") / "minilm.mlpkg"
    done = inferox("pack", minilm_directory, "-o", package, "--name", "minilm")
    assert (done.returncode, done.stderr) == (0, b"")  # nor do the libraries say anything
    yield package
    package.unlink()
