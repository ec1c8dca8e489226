"""Commands called in this process, which is fast, with small packages of every task."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from inferox.cli.main import main
from tests.shared import SharedFolders


@dataclass(frozen=True)
class Done:
    """The outcome of a command."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def call(*arguments: str | Path, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(int(str(stopped.value.code)), captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def cnn_package(shared_folders: SharedFolders) -> Path:
    """A module as a folder: for PyTorch, which runs it only if its code is trusted, and for ONNX Runtime."""
    from inferox import pack
    from tests.packing.modules import make_cnn  # which imports PyTorch

    def fill(folder: Path) -> None:
        pack(make_cnn, folder / "cnn", backends=("torch", "onnxruntime"), precisions=("fp32",))

    return shared_folders.get("cnn", fill) / "cnn"
