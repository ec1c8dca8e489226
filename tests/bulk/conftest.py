"""A package in this process, and inputs of many rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inferox
from inferox.bulk import BulkOptions, BulkResult, Watcher, run_bulk
from inferox.loading import TaskModel
from tests.packing.test_kinds import save_text_model
from tests.shared import SharedFolders

WORDS = ("a the fox dog money river bank jumps sleeps over under quick lazy Schiff 東京 " + "🙂").split()


@pytest.fixture(scope="session")
def tiny_package(shared_folders: SharedFolders, minilm_directory: Path) -> Path:
    """An encoder of one layer with vectors of 16 numbers."""

    def fill(folder: Path) -> None:
        save_text_model(folder / "source", minilm_directory, "bert", "Model")
        inferox.pack(folder / "source", folder / "tiny.mlpkg", task="embed")

    return shared_folders.get("tiny", fill) / "tiny.mlpkg"


@pytest.fixture(scope="session")
def tiny(tiny_package: Path) -> Iterator[TaskModel]:
    with inferox.load(tiny_package, threads=1) as model:
        yield model


def make_texts(count: int, seed: int = 7) -> list[str]:
    """Texts of 1 to 30 words."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(1, 31))) for _ in range(count)]


def write_json(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@dataclass
class Bulk:
    """Runs the tiny model over files."""

    model: TaskModel

    def __call__(self, source: Path | list[Path], output: Path, *, digest: str = "d", **options: Any) -> BulkResult:
        how: dict[str, Any] = {name: options.pop(name) for name in ("resume", "force", "watcher") if name in options}
        if isinstance(options.get("form"), str):
            how["form"] = options.pop("form")
        inputs = [str(path) for path in (source if isinstance(source, list) else [source])]
        return run_bulk(self.model, digest, inputs, output, BulkOptions(**{"part_rows": 50, **options}), **how)


@pytest.fixture
def bulk(tiny: TaskModel) -> Bulk:
    return Bulk(tiny)


def read_bytes(folder: Path) -> dict[str, bytes]:
    """The files of an output that are for its readers."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class StoppingWatcher(Watcher):
    """Ends the run after some rows, as an interrupt would."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._most = rows

    def advance(self, rows: int) -> None:
        super().advance(rows)
        if self.computed >= self._most:
            raise KeyboardInterrupt
