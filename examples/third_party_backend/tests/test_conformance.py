"""The backend meets the contract."""

from __future__ import annotations

import json
from pathlib import Path

from inferox_sparse import SparseBackend  # type: ignore[import-not-found]

from inferox.core import Artifact, Backend, DataType, Layout, Precision
from inferox.testing.conformance import BackendConformance
from inferox.testing.mlp import SIGNATURE, save_mlp_weights

STEPS = [{"linear": "0"}, {"activation": "relu"}, {"linear": "2"}, {"activation": "relu"}, {"linear": "4"}]


class TestSparseBackend(BackendConformance):
    """The suite, told this backend's data types, its runtime, and how it stores the suite's model."""

    dtypes = frozenset(DataType) - {DataType.BF16}
    runtime = "scipy"

    @classmethod
    def make_backend(cls) -> Backend:
        """Makes the backend."""
        return SparseBackend()  # type: ignore[no-any-return]

    @classmethod
    def make_artifact(cls, root: Path) -> Artifact:
        """Writes the suite's perceptron in this backend's format."""
        (root / "steps.json").write_text(json.dumps(STEPS), encoding="utf-8")
        files = {"steps": "steps.json", "weights": save_mlp_weights(root)}
        return Artifact("sparse", "safetensors", Precision.FP32, Layout.PADDED, files, SIGNATURE, root)
