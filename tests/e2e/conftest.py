"""A small model as one file, for tests that do not depend on the weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferox import pack
from tests.packing.test_kinds import save_text_model
from tests.shared import SharedFolders


@pytest.fixture(scope="session")
def small_package(shared_folders: SharedFolders, minilm_directory: Path) -> Path:
    """A small text model with MiniLM's tokenizer, as one file."""

    def fill(folder: Path) -> None:
        save_text_model(folder / "source", minilm_directory, "bert", "Model")
        pack(folder / "source", folder / "small.mlpkg", backends=("onnxruntime",), precisions=("fp32",))

    return shared_folders.get("small", fill) / "small.mlpkg"
