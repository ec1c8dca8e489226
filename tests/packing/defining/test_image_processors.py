"""The image processor that defines a model's pixels uses Pillow, whatever else is installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoImageProcessor
from transformers.models.auto import image_processing_auto
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

import inferox
from inferox.package import open_package
from inferox.packing.defining import DefiningLibrary, NoDefinition, open_defining_library
from inferox.packing.defining.pipelines import ImageLabelLibrary
from inferox.parity import ProofStatus
from inferox.sources import open_source
from tests.packing.test_proof import save_vit


class ViTImageProcessor(ViTImageProcessorPil):  # type: ignore[misc]
    """Stands in for the processor of this name that uses torchvision: it resizes to other pixels."""

    @property
    def backend(self) -> str:
        return "torchvision"

    def resize(self, *arguments: Any, **options: Any) -> Any:
        return 255 - super().resize(*arguments, **options)


def install_torchvision(monkeypatch: pytest.MonkeyPatch, *, with_pillow: bool = True) -> None:
    """Lets transformers find a torchvision processor, as if torchvision were installed."""
    find: Callable[[str], Any] = image_processing_auto.get_image_processor_class_from_name

    def find_installed(name: str) -> Any:
        if name == "ViTImageProcessorPil" and not with_pillow:
            return None
        return ViTImageProcessor if name == "ViTImageProcessor" else find(name)

    monkeypatch.setattr(image_processing_auto, "is_torchvision_available", lambda: True)
    monkeypatch.setattr(image_processing_auto, "get_image_processor_class_from_name", find_installed)


def test_torchvision_changes_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = save_vit(tmp_path / "source")
    install_torchvision(monkeypatch)
    assert type(AutoImageProcessor.from_pretrained(source)) is ViTImageProcessor

    report = inferox.pack(source, tmp_path / "model.mlpkg", strict=True)

    assert report.proof.settings == {"image_processor": "ViTImageProcessorPil"}
    parity = open_package(tmp_path / "model.mlpkg").parity
    assert parity is not None
    assert parity.from_input == report.proof


def test_a_model_without_a_processor_that_uses_pillow_is_not_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save_vit(tmp_path / "source")
    install_torchvision(monkeypatch, with_pillow=False)

    report = inferox.pack(source, tmp_path / "model.mlpkg")

    assert report.proof.status is ProofStatus.NOT_PROVEN
    assert "no image processor that uses Pillow for this model, only ViTImageProcessor" in str(report.proof)


def test_a_processor_by_a_name_that_transformers_gave_up_is_told_by_its_new_name(tmp_path: Path) -> None:
    source = save_vit(tmp_path / "source")
    path = source / "preprocessor_config.json"
    stated = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**stated, "image_processor_type": "ViTFeatureExtractor"}), encoding="utf-8")

    found = _open(source)

    assert isinstance(found, NoDefinition)
    assert "preprocessor_config.json names ViTFeatureExtractor" in found.reason
    assert "write ViTImageProcessor there" in found.reason
    path.write_text(json.dumps({**stated, "image_processor_type": "ViTImageProcessor"}), encoding="utf-8")
    assert isinstance(_open(source), ImageLabelLibrary)
    path.write_text(json.dumps({**stated, "image_processor_type": "NoSuchImageProcessor"}), encoding="utf-8")
    found = _open(source)
    assert isinstance(found, NoDefinition)
    assert "Unrecognized image processor" in found.reason


def _open(directory: Path) -> DefiningLibrary | NoDefinition:
    return open_defining_library(open_source(directory), "image-classify", None)


def test_the_processor_is_that_of_pillow_without_torchvision_too(tmp_path: Path) -> None:
    library = ImageLabelLibrary(save_vit(tmp_path / "source"))
    assert library.settings() == {"image_processor": "ViTImageProcessorPil"}
