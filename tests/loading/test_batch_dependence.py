"""An artifact that was measured to depend on the batch computes rows one by one, and is only taken by name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import inferox
from inferox.batching import run_batches
from inferox.core import BATCH, Batch, DataType, Precision, Signature, TensorSpec
from inferox.loading import Requirements, load, select
from inferox.measuring import verify
from inferox.package import Package
from inferox.parity import TOLERANCES, ArtifactEvidence, BatchInvariance, ParityClass, ParityReport
from inferox.parity.tolerance import DISAGREEMENT
from tests.loading.backends import make_artifact, make_package
from tests.tasks.models import FunctionModel

ROWS = Signature(
    (TensorSpec("x", DataType.F32, (BATCH, 2)),),
    (TensorSpec("y", DataType.F32, (BATCH, 2)),),
)
DEPENDS, HOLDS = BatchInvariance(0.3, 0.97, 5), BatchInvariance(1e-7, 1.0, 5)


def mix(call: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    return {"y": call["x"] / np.abs(call["x"]).max()}


@pytest.mark.parametrize(("invariant", "shapes"), [(False, [(1, 2)] * 3), (True, [(3, 2)]), (None, [(3, 2)])])
def test_its_rows_are_computed_one_by_one(invariant: bool | None, shapes: list[tuple[int, ...]]) -> None:
    model = FunctionModel(ROWS, mix)
    model.note_invariance(invariant)
    rows = Batch.of_rows({"x": np.array([[number, 1] for number in (2, 400, 3)], np.float32)})
    found = {
        index: row["y"].tolist()
        for indices, _, outputs in run_batches(model, rows)
        for index, row in zip(indices, outputs, strict=True)
    }
    assert model.shapes == shapes
    if invariant is False:
        assert found[0] == [1.0, 0.5]


def with_batch(batch: BatchInvariance | None, parity_class: ParityClass, precision: Precision) -> Package:
    artifact = make_artifact("onnxruntime", "onnx", precision)
    package = make_package(artifact)
    evidence = ArtifactEvidence(
        artifact.name, DISAGREEMENT, TOLERANCES[ParityClass.CLOSE], parity_class, {}, "here", batch=batch
    )
    return replace(package, parity=ParityReport((evidence,)))


def why_not(package: Package, **requirements: Any) -> str | None:
    (candidate,) = select(package, Requirements.parse(**requirements))
    return candidate.rejected


def test_it_is_only_taken_if_its_precision_is_requested() -> None:
    package = with_batch(DEPENDS, ParityClass.CLOSE, Precision.INT8)
    assert "depends on the batch: a row differs by up to 0.3" in str(why_not(package))
    assert "requested by name" in str(why_not(package, quality="quantized"))
    assert why_not(package, precision="int8") is None
    assert why_not(package, to_measure=True) is None
    assert why_not(with_batch(HOLDS, ParityClass.CLOSE, Precision.INT8)) is None
    assert why_not(with_batch(None, ParityClass.CLOSE, Precision.INT8)) is None


def test_a_model_that_is_such_itself_is_taken_as_any_other() -> None:
    assert why_not(with_batch(replace(DEPENDS, inherent=True), ParityClass.EXACT, Precision.FP32)) is None


def test_the_metadata_of_what_is_loaded_says_so_and_verify_fails_where_it_was_not_so_before(tmp_path: Path) -> None:
    import torch

    class ShareOfLargest(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / x.abs().max()

    class ShareOfOwn(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / x.abs().amax(dim=1, keepdim=True)

    def pack(module: torch.nn.Module, name: str) -> Path:
        inputs = {"x": np.random.default_rng(0).standard_normal((1, 6)).astype(np.float32)}
        return inferox.pack(lambda: (module, inputs), tmp_path / name, backends=["onnxruntime"]).path

    mixing, apart = pack(ShareOfLargest(), "mixing"), pack(ShareOfOwn(), "apart")
    with load(mixing) as one, load(apart) as other:
        assert one.metadata.batch_invariant is False
        assert other.metadata.batch_invariant is True
    assert verify(mixing).passed
    # The same graph, in a package that claims to be batch invariant.
    parity = mixing / "parity.json"
    data = json.loads(parity.read_text())
    data["artifacts"][0]["batch"] |= {"invariant": True, "inherent": False, "max_rel": 0.0, "cosine_min": 1.0}
    parity.write_text(json.dumps(data))
    _write_digest(mixing, parity)
    found = verify(mixing)
    assert not found.passed
    assert "but was batch invariant when it was packed" in next(iter(found.failed.values()))


def _write_digest(package: Path, file: Path) -> None:
    metadata = package / "metadata.json"
    data = json.loads(metadata.read_text())
    content = file.read_bytes()
    for entry in data["files"]:
        if entry["path"] == file.name:
            entry["sha256"], entry["size"] = hashlib.sha256(content).hexdigest(), len(content)
    metadata.write_text(json.dumps(data))
