"""Artifacts of small modules, as a package would hold them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from inferox.backends.torch.backend import TorchBackend
from inferox.backends.torch.model import TorchModel
from inferox.core import Artifact, DataType, Layout, LoadOptions, Precision, Signature, TensorSpec

AFFINE_SIGNATURE = Signature(
    (TensorSpec("x", DataType.F32, ("batch", 4)), TensorSpec("scale", DataType.F32, ("batch",))),
    (TensorSpec("y", DataType.F32, ("batch", 3)),),
)


class Affine(torch.nn.Module):
    """Two inputs, parameters, and a buffer that is not in any state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)
        self.offset = torch.nn.Buffer(torch.tensor([1.0, 2.0, 3.0]), persistent=False)

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.linear(x) * scale[:, None] + self.offset
        return found


def make_affine() -> Affine:
    torch.manual_seed(0)
    module = Affine()
    module.eval()
    return module


def affine_inputs(rows: int = 2) -> dict[str, npt.NDArray[Any]]:
    random = np.random.default_rng(rows)
    return {
        "x": random.standard_normal((rows, 4)).astype(np.float32),
        "scale": random.standard_normal(rows).astype(np.float32),
    }


def affine_output(rows: int = 2) -> npt.NDArray[Any]:
    inputs = {name: torch.from_numpy(value) for name, value in affine_inputs(rows).items()}
    with torch.inference_mode():
        output: npt.NDArray[Any] = make_affine()(**inputs).numpy()
    return output


def make_artifact(
    root: Path,
    format_: str,
    files: Mapping[str, str],
    *,
    signature: Signature = AFFINE_SIGNATURE,
    precision: Precision = Precision.FP32,
    options: Mapping[str, Any] | None = None,
) -> Artifact:
    return Artifact("torch", format_, precision, Layout.PADDED, files, signature, root, options or {})


def load(artifact: Artifact, **options: Any) -> TorchModel:
    model = TorchBackend.cpu().load(artifact, None, LoadOptions("small", **{"trust_code": True, **options}))
    assert isinstance(model, TorchModel)
    return model


def run(model: TorchModel, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    return {name: value.numpy() for name, value in model.forward(inputs).items()}


def assert_own(model: TorchModel) -> None:
    """Checks that writing to a model's outputs changes no later answer."""
    first = model.forward(affine_inputs())
    expected = {name: value.numpy().copy() for name, value in first.items()}
    for value in first.values():
        value.numpy().fill(100)
    for name, found in run(model, affine_inputs()).items():
        np.testing.assert_array_equal(found, expected[name])
