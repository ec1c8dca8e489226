"""Samples use the whole range of a signature, and artifacts with a smaller range are measured with what they take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import inferox
from inferox.backends.torch import TorchBackend
from inferox.backends.torch.export import TorchExporter
from inferox.core import SEQUENCE, Artifact, ExportRequest, PackageError, SourceModel
from inferox.measuring import verify
from inferox.packing.reference import compute_samples
from inferox.parity import ParityClass, Samples
from inferox.sources.python import open_factory
from inferox.tasks.raw import RawTask
from tests.packing.modules import make_stepping
from tests.packing.test_kinds import save_text_model


class Doubling(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


class InPairs(torch.nn.Module):
    """Takes an even number of steps."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(x.shape[0], -1, 2, x.shape[2]).sum(2)


class Spread(torch.nn.Module):
    """Gives no number for a single step."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.std(1)


class SingleStep(torch.nn.Module):
    """Treats a single step differently, which a capture with more steps does not contain."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 3 if x.shape[1] == 1 else x * 2


def sample(module: torch.nn.Module, *shape: int) -> Samples:
    source = open_factory(lambda: (module, {"x": torch.randn(shape)}), samples=None, dims={"x": ("batch", "steps", 4)})
    return compute_samples(source, RawTask({}, source.signature))


def shapes(samples: Samples) -> list[tuple[int, ...]]:
    return [batch.inputs["x"].shape[:2] for batch in samples.batches]


def test_every_named_dim_is_sampled_at_several_extents() -> None:
    samples = sample(Doubling(), 2, 4, 4)
    assert shapes(samples) == [(2, 4), (1, 4), (3, 4), (4, 4), (2, 1), (2, 3), (2, 5), (2, 8)]
    for batch in samples.batches:
        np.testing.assert_array_equal(batch.outputs["output"], batch.inputs["x"] * 2)


def test_an_example_of_one_of_everything_is_sampled_with_more() -> None:
    assert shapes(sample(Doubling(), 1, 1, 4)) == [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)]


def test_what_the_model_refuses_is_not_a_sample() -> None:
    assert {steps for _, steps in shapes(sample(InPairs(), 2, 4, 4))} == {4, 8}


def test_what_the_model_has_no_number_for_is_not_a_sample() -> None:
    assert {steps for _, steps in shapes(sample(Spread(), 2, 4, 4))} == {3, 4, 5, 8}


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_a_branch_that_the_capture_does_not_have_is_found_out(tmp_path: Path, backend: str) -> None:
    with pytest.raises(PackageError, match=r"misses its tolerance|failed"):
        inferox.pack(
            lambda: (SingleStep(), {"x": torch.randn(2, 5, 4)}),
            tmp_path / "p",
            backends=[backend],
            dims={"x": ("batch", "steps", 4)},
        )


@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino"])
@pytest.mark.parametrize("steps", [1, 3])
def test_an_artifact_for_one_extent_is_measured_with_it(tmp_path: Path, backend: str, steps: int) -> None:
    report = inferox.pack(
        lambda: make_stepping(steps),
        tmp_path / "p",
        backends=[backend],
        precisions=("fp32",),
        dims={"x": ("batch", "steps", 4)},
    )
    assert [item.parity_class for item in report.evidence] == [ParityClass.EXACT]
    stored = inferox.open_package(tmp_path / "p").samples()
    assert stored is not None
    assert {shape[1] for shape in shapes(stored)} == {max(steps, 2)}
    assert verify(tmp_path / "p", trust_code=True).passed


class ShortExporter(TorchExporter):
    """States one length, which some of a text task's samples have."""

    length: ClassVar[int]

    def export(self, source: SourceModel, root: Path, request: ExportRequest) -> Artifact:
        right = super().export(source, root, request)
        return replace(right, signature=right.signature.fixed({SEQUENCE: self.length}))


def test_an_artifact_of_one_length_is_none_for_texts(
    tmp_path: Path, minilm_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_text_model(tmp_path / "source", minilm_directory, "mpnet", "Model")  # which has no packed artifact beside it
    inferox.pack(tmp_path / "source", tmp_path / "p")
    samples = inferox.open_package(tmp_path / "p").samples()
    assert samples is not None
    monkeypatch.setattr(ShortExporter, "length", samples.batches[0].inputs["input_ids"].shape[1], raising=False)
    monkeypatch.setattr(TorchBackend, "exporter", lambda _: ShortExporter())
    with pytest.raises(PackageError, match=r"captured only for input_ids: i64\[batch, \d+\]"):
        inferox.pack(tmp_path / "source", tmp_path / "q")


def test_artifacts_that_reach_differently_far_share_a_package(recurrent_package: Path) -> None:
    opened = inferox.open_package(recurrent_package)
    dims: dict[str, Any] = {item.backend: item.signature.inputs[0].dims for item in opened.artifacts}
    assert dims == {"torch": ("batch", 7, 4), "onnxruntime": ("batch", "seq", 4)}
    found = verify(recurrent_package, trust_code=True)
    assert (len(found.evidence), found.passed, found.not_run) == (2, True, {})
    assert opened.parity is not None
    for packed, again in zip(opened.parity.artifacts, found.evidence, strict=True):
        assert [(row.call, row.row) for row in packed.rows] == [(row.call, row.row) for row in again.rows]
    for backend in dims:
        with inferox.load(recurrent_package, backend=backend, trust_code=True) as model:
            assert model.forward(np.ones((3, 7, 4), np.float32))["scores"].shape == (3, 2)
