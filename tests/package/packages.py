"""Small packages, made with the real writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from inferox.core import Artifact, DataType, Layout, Precision, Signature, TensorSpec
from inferox.package import FORMAT_VERSION, Metadata, ModelInfo, PackageWriter
from inferox.parity import ParityReport, SampleBatch, Samples

SPEC = TensorSpec("x", DataType.F32, ("batch", 2))
SIGNATURE = Signature((SPEC,), (SPEC,))
WEIGHTS = b"weights " * 1000


def make_metadata(name: str = "small") -> Metadata:
    return Metadata(FORMAT_VERSION, name, "1", "org/small", "abc", "2026-01-01T00:00:00+00:00", "mit", ())


def make_info(root: Path, format_: str = "safetensors") -> ModelInfo:
    artifact = Artifact(
        backend="torch",
        format=format_,
        precision=Precision.FP32,
        layout=Layout.PADDED,
        files={"weights": "weights/model.safetensors"},
        signature=SIGNATURE,
        root=root,
    )
    return ModelInfo(
        model_type="small",
        repo_id="org/small",
        architecture_family=None,
        supported_backends=("torch",),
        task="raw",
        task_options={"a": [1, None, "é"]},
        signature=SIGNATURE,
        hidden_size=2,
        num_layers=None,
        vocab_size=None,
        num_parameters=4,
        artifacts=(artifact,),
    )


def make_samples() -> Samples:
    array = np.arange(4, dtype=np.float32).reshape(2, 2)
    return Samples((SampleBatch({"x": array}, {"x": array * 2}), SampleBatch({"x": array[:1]}, {"x": array[:1] * 2})))


def write_package(
    output: Path,
    *,
    force: bool = False,
    weights: bytes = WEIGHTS,
    before_commit: Callable[[PackageWriter], object] = lambda _: None,
) -> Path:
    """Writes a package with one artifact and one further file."""
    with PackageWriter(output, force=force) as writer:
        (writer.root / "weights").mkdir()
        (writer.root / "weights" / "model.safetensors").write_bytes(weights)
        (writer.root / "tokenizer.json").write_text("{}", encoding="utf-8")
        before_commit(writer)
        return writer.commit(make_metadata(), make_info(writer.root), ParityReport(()), make_samples())
