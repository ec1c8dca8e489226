"""The number of shapes for which OpenVINO caches what it prepares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino.opset13 as operators
import pytest

from inferox.backends.openvino.compilation import compile_model
from inferox.core import Precision

SETTING = "CPU_RUNTIME_CACHE_CAPACITY"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    given = operators.parameter([-1, 4], np.float32, name="x")
    openvino.save_model(openvino.Model([operators.relu(given)], [given]), tmp_path / "graph.xml")
    return tmp_path / "graph.xml"


@pytest.mark.parametrize("knows_setting", [True, False])
def test_few_are_cached_if_openvino_has_the_setting(
    graph: Path, monkeypatch: pytest.MonkeyPatch, *, knows_setting: bool
) -> None:
    """A stand-in for a version without the setting refuses it in the words of that version."""
    told: list[dict[str, Any]] = []
    real = openvino.Core.compile_model

    def compile_and_tell(core: openvino.Core, model: Any, device: str, settings: dict[str, Any]) -> Any:
        told.append(settings)
        unknown = {} if knows_setting else {f"UN{SETTING}": 1} if SETTING in settings else {}
        return real(core, model, device, settings | unknown)

    monkeypatch.setattr(openvino.Core, "compile_model", compile_and_tell)
    compiled = compile_model(graph, "CPU", Precision.FP32, threads=1)
    assert [settings.get(SETTING) for settings in told] == [256] + [None] * (not knows_setting)
    assert compiled(np.array([[-1, 0, 1, 2]], np.float32))[0].tolist() == [[0, 0, 1, 2]]


def test_what_else_openvino_refuses_is_not_tried_again(graph: Path) -> None:
    with pytest.raises(RuntimeError, match="INFERENCE_NUM_THREADS"):
        compile_model(graph, "CPU", Precision.FP32, threads=-7)
