"""A small model as one file, for tests that do not depend on the weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferox.core import Precision
from tests.fewer_artifacts import keep_artifacts
from tests.shared import SharedFolders


@pytest.fixture(scope="session")
def small_package(shared_folders: SharedFolders, bert_in_all_forms: Path) -> Path:
    """A small text model with MiniLM's tokenizer, as one file."""

    def fill(folder: Path) -> None:
        keep_artifacts(
            bert_in_all_forms,
            folder / "small.mlpkg",
            lambda artifact: artifact.backend == "onnxruntime" and artifact.precision is Precision.FP32,
        )

    return shared_folders.get("small", fill) / "small.mlpkg"
