"""Packing writes artifacts for the backend, measures them, and refuses what the backend lacks."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import inferox

sys.path.insert(0, str(Path(__file__).parents[1]))

from example import make_pruned_mlp  # type: ignore[import-not-found]


def test_a_pruned_perceptron(tmp_path: Path) -> None:
    """The package holds one weights file, which both backends read and agree on."""
    report = inferox.pack(make_pruned_mlp, tmp_path / "mlp", backends=["torch", "sparse"])
    assert report.refused == {}
    assert [item.parity_class.value for item in report.evidence] == ["exact", "exact"]
    module, _ = make_pruned_mlp()
    rows = np.random.default_rng(0).standard_normal((5, 16)).astype(np.float32)
    with inferox.load(tmp_path / "mlp", backend="sparse") as model:
        found = model.forward(rows)["output"].numpy()
        dense_bytes = 4 * (16 * 256 + 256 * 4)
        assert model.model.memory_requirements().weights_bytes < dense_bytes / 2
    with torch.inference_mode():
        np.testing.assert_allclose(found, module(torch.from_numpy(rows)).numpy(), atol=1e-6)


def test_a_layer_that_it_lacks(tmp_path: Path) -> None:
    """The report names the layer."""
    report = inferox.pack(
        lambda: (torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.LayerNorm(4)), {"input": torch.ones(2, 4)}),
        tmp_path / "p",
        backends=["torch", "sparse"],
    )
    (reason,) = report.refused.values()
    assert "LayerNorm" in reason


def test_a_module_of_another_kind(tmp_path: Path) -> None:
    """The error says which modules it can run."""
    with pytest.raises(inferox.InferoxError, match="Sequential"):
        inferox.pack(lambda: (torch.nn.Linear(2, 2), {"input": torch.ones(1, 2)}), tmp_path / "p", backends=["sparse"])
