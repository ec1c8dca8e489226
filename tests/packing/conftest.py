"""A sentence encoder with prompts, packed once for the tests of what is proven of one."""

from __future__ import annotations

from pathlib import Path

import pytest

import inferox
from inferox.parity import ProofStatus
from tests.shared import SharedFolders


@pytest.fixture(scope="session")
def encoder_package(shared_folders: SharedFolders, minilm_directory: Path) -> Path:
    """The package as a folder, beside its source."""
    from tests.packing.test_proof import save_source

    def fill(folder: Path) -> None:
        report = inferox.pack(save_source(folder / "source", minilm_directory), folder / "model")
        assert report.proof.status is ProofStatus.PROVEN

    return shared_folders.get("encoder", fill) / "model"
