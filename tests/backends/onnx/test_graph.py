"""Graphs hold no weights, whatever the parts of a module are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import inferox


class Nested(torch.nn.Module):
    """A part with the name that a capture puts before every weight, beside weights of the same names as the part's."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self.part = part
        self.add_module(part, torch.nn.Linear(64, 64))
        self.weight = torch.nn.Parameter(torch.randn(64, 64))
        self.bias = torch.nn.Parameter(torch.randn(64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.get_submodule(self.part)(x) @ self.weight + self.bias
        return found


@pytest.mark.parametrize("part", ["module", "inner"])
def test_every_weight_is_found_by_its_own_name(tmp_path: Path, part: str) -> None:
    torch.manual_seed(0)
    module = Nested(part).eval()
    inferox.pack(lambda: (module, {"x": torch.randn(2, 64)}), tmp_path / "p", backends=["onnxruntime"])
    graph = onnx.load(tmp_path / "p" / "model.onnx", load_external_data=False).graph
    assert [item.name for item in graph.initializer if item.ByteSize() > 1000] == []
    x = torch.randn(3, 64)
    with inferox.load(tmp_path / "p") as model, torch.inference_mode():
        np.testing.assert_allclose(model.forward(x.numpy())["output"].numpy(), module(x), atol=1e-5)
