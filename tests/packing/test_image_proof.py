"""The proof from images: a fault that only shows on photographs, which are larger than the model's input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

import inferox
from inferox.core import DisagreementError
from inferox.parity import ProofStatus
from inferox.tasks.image_preprocessor import ImagePreprocessor
from tests.sources.checkpoints import make_model


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A classifier of images of 224 by 224 pixels."""
    model = make_model("vit", "ForImageClassification", initializer_range=0.3, image_size=224, patch_size=56)
    model.save_pretrained(tmp_path / "source")
    ViTImageProcessorPil().save_pretrained(tmp_path / "source")
    return tmp_path / "source"


def test_large_images_are_proven(tmp_path: Path, source: Path) -> None:
    report = inferox.pack(source, tmp_path / "model.mlpkg", strict=True)
    assert (report.proof.status, report.proof.refused) == (ProofStatus.PROVEN, 0)


def test_a_shortcut_in_making_large_images_small_fails_packing(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resize(self: ImagePreprocessor, image: Any, size: Any, subject: str) -> Image.Image:  # noqa: ARG001
        found: Image.Image = Image.fromarray(np.asarray(image))
        # Exact until an image is twice as large.
        return found.resize((224, 224), Image.Resampling.BILINEAR, reducing_gap=1.0)

    monkeypatch.setattr(ImagePreprocessor, "_resize", resize)
    with pytest.raises(DisagreementError, match="in the stage pixels"):
        inferox.pack(source, tmp_path / "model.mlpkg")
