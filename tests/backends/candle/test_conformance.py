"""Candle meets the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

from safetensors.numpy import save_file

from inferox.backends.candle import CandleBackend
from inferox.backends.candle.sequential import MODEL_TYPE
from inferox.core import WEIGHTS_FILE, Artifact, Backend, DataType, Layout, Precision
from inferox.testing.conformance import BackendConformance
from inferox.testing.mlp import LAYERS, SIGNATURE, mlp_weights


class TestCandle(BackendConformance):
    dtypes = frozenset({DataType.U8, DataType.I64, DataType.BF16, DataType.F16, DataType.F32, DataType.F64})
    zero_copy: ClassVar[bool] = False
    runtime = "candle"

    @classmethod
    def make_backend(cls) -> Backend:
        return CandleBackend()

    @classmethod
    def make_artifact(cls, root: Path) -> Artifact:
        (root / WEIGHTS_FILE).parent.mkdir()
        save_file(dict(mlp_weights()), root / WEIGHTS_FILE)
        steps: list[dict[str, str]] = []
        for layer in LAYERS:
            steps += [{"type": "linear", "weight": f"{layer}.weight", "bias": f"{layer}.bias"}, {"type": "relu"}]
        config = {"model_type": MODEL_TYPE, "layers": steps[:-1]}
        (root / "config.json").write_text(json.dumps(config), encoding="utf-8")
        files = {"config": "config.json", "weights": WEIGHTS_FILE}
        options = {"architecture": MODEL_TYPE}
        return Artifact("candle", "safetensors", Precision.FP32, Layout.PADDED, files, SIGNATURE, root, options)
