"""A model that was loaded from the store keeps its files there."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

import inferox
from inferox.package import Store
from tests.packing.modules import make_cnn


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_loaded_model_keeps_its_package_in_the_store(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFEROX_STORE", str(tmp_path / "store"))
    inferox.pack(make_cnn, tmp_path / "cnn.mlpkg", backends=(backend,))
    Store().prune(0)
    model = inferox.load(tmp_path / "cnn.mlpkg", threads=1)
    shapes = {spec.name: [2 if isinstance(dim, str) else dim for dim in spec.dims] for spec in model.signature.inputs}
    gc.collect()
    assert Store().prune(0).removed == ()
    assert model.forward({name: np.ones(shape, np.float32) for name, shape in shapes.items()})
    model.close()
    del model
    gc.collect()
    assert len(Store().prune(0).removed) == 1
