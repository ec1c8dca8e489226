"""The order in which artifacts are started."""

from __future__ import annotations

from pathlib import Path

from inferox.core import Artifact, Layout, Precision, Signature
from inferox.measuring.comparison.artifact_run import ArtifactRun
from inferox.measuring.comparison.schedule import order_starts


def run_of(name: str, reason: str | None = None) -> ArtifactRun:
    backend, precision, layout = name.split("/")
    artifact = Artifact(backend, "onnx", Precision(precision), Layout(layout), {}, Signature((), ()), Path())
    return ArtifactRun(name, artifact, reason=reason)


def test_other_layouts_are_started_last() -> None:
    runs = [
        run_of("openvino/fp32/packed", reason="it is not installed"),
        *map(run_of, ("openvino/fp32/padded", "torch/fp32/packed", "torch/fp32/padded", "openvino/bf16/padded")),
        run_of("candle/fp32/padded"),
    ]
    peer = ArtifactRun("a library", None, reason=None)
    firsts = ["openvino/fp32/padded", "torch/fp32/packed", "openvino/bf16/padded", "candle/fp32/padded"]
    others = ["openvino/fp32/packed", "torch/fp32/padded"]
    assert [run.name for run in order_starts(runs, peer)] == [*firsts, "a library", *others]
    assert [run.name for run in order_starts(runs, None)] == [*firsts, *others]
