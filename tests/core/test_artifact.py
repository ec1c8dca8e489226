"""Artifacts: their names, their trust and their manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inferox.core import Artifact, DataType, Layout, ManifestError, Precision, Signature, TensorSpec, TrustTier


def artifact(format_: str = "safetensors") -> Artifact:
    spec = TensorSpec("x", DataType.F32, ("batch", 3))
    return Artifact(
        backend="torch",
        format=format_,
        precision=Precision.FP32,
        layout=Layout.PADDED,
        files={"weights": "weights/model.safetensors"},
        signature=Signature((spec,), (spec,)),
        root=Path("/package"),
        options={"architecture": "BertModel"},
    )


def test_the_name_tells_artifacts_of_a_package_apart() -> None:
    assert artifact().name == "torch/safetensors/fp32/padded"


@pytest.mark.parametrize("format_", ["safetensors", "onnx", "openvino-ir"])
def test_these_formats_are_data(format_: str) -> None:
    assert artifact(format_).trust_tier is TrustTier.DATA


@pytest.mark.parametrize("format_", ["torchscript", "torch-export", "aotinductor", "state-dict", "", "ONNX", "new"])
def test_every_other_format_is_code(format_: str) -> None:
    assert artifact(format_).trust_tier is TrustTier.CODE


def test_it_reads_back_from_json() -> None:
    assert Artifact.from_json(artifact().to_json(), Path("/package")) == artifact()


def test_a_file_by_its_role() -> None:
    assert artifact().path("weights") == Path("/package/weights/model.safetensors")
    with pytest.raises(ManifestError, match="no program file; it lists weights"):
        artifact().path("program")


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "fp8"},
        {"layout": "ragged"},
        {"files": ["a"]},
        {"files": {"weights": 3}},
        {"backend": 3},
        {"options": []},
        {"signature": None},
    ],
)
def test_a_malformed_artifact_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ManifestError):
        Artifact.from_json({**artifact().to_json(), **change}, Path("/package"))


@pytest.mark.parametrize("data", [None, [], "x", {}])
def test_what_is_no_artifact_is_refused(data: Any) -> None:
    with pytest.raises(ManifestError):
        Artifact.from_json(data, Path("/package"))
