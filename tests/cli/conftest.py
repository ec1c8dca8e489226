"""Commands called in this process, which is quick, with small packages of every task."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import inferox
from inferox.cli.main import main
from tests.packing.modules import make_cnn
from tests.packing.test_kinds import save_text_model
from tests.shared import SharedFolders
from tests.sources.checkpoints import make_model, save_model


@dataclass(frozen=True)
class Done:
    """What a command did."""

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
def packages(shared_folders: SharedFolders, minilm_directory: Path) -> dict[str, Path]:
    """A package by task."""
    heads = {
        "embed": ("Model", {}),
        "classify": ("ForSequenceClassification", {"num_labels": 5}),
        "token-classify": ("ForTokenClassification", {"num_labels": 3}),
        "rerank": ("ForSequenceClassification", {"num_labels": 1}),
    }

    def fill(folder: Path) -> None:
        for task, (head, settings) in heads.items():
            save_text_model(folder / task, minilm_directory, "bert", head, **settings)
            inferox.pack(folder / task, folder / f"{task}.mlpkg", task=task)
        image = save_model(make_model("vit", "ForImageClassification", num_labels=4), folder / "image")
        (image / "preprocessor_config.json").write_text(
            '{"image_processor_type": "ViTImageProcessor", "do_resize": true, "size": {"height": 16, "width": 16}}'
        )
        inferox.pack(image, folder / "image-classify.mlpkg")
        inferox.pack(make_cnn, folder / "raw.mlpkg")

    folder = shared_folders.get("tasks", fill)
    return {task: folder / f"{task}.mlpkg" for task in (*heads, "image-classify", "raw")}
