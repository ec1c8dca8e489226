from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inferox.core import Artifact, ExecutionError, LoadError, Precision
from tests.backends.torch.artifacts import affine_inputs, affine_output, load, make_affine, make_artifact, run


@pytest.fixture(params=["script", "trace"])
def artifact(tmp_path: Path, request: pytest.FixtureRequest) -> Artifact:
    module = make_affine()
    examples = tuple(torch.from_numpy(value) for value in affine_inputs().values())
    program = torch.jit.script(module) if request.param == "script" else torch.jit.trace(module, examples)
    torch.jit.save(program, tmp_path / "model.pt")
    return make_artifact(tmp_path, "torchscript", {"program": "model.pt"})


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_it_computes_what_the_module_does(artifact: Artifact, rows: int) -> None:
    np.testing.assert_array_equal(run(load(artifact), affine_inputs(rows))["y"], affine_output(rows))


def test_inputs_are_passed_in_the_order_of_the_signature(artifact: Artifact) -> None:
    inputs = dict(reversed(affine_inputs().items()))
    np.testing.assert_array_equal(run(load(artifact), inputs)["y"], affine_output())


def test_its_weights_are_counted(artifact: Artifact) -> None:
    assert load(artifact).memory_requirements().weights_bytes == (4 * 3 + 3 + 3) * 4


def test_a_program_is_not_quantised(artifact: Artifact) -> None:
    with pytest.raises(LoadError, match=r"no linear layer .* int8.*as it was captured"):
        load(replace(artifact, precision=Precision.INT8))


def test_a_lower_precision(artifact: Artifact) -> None:
    narrow = load(replace(artifact, precision=Precision.BF16))
    found = run(narrow, affine_inputs())["y"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, affine_output(), atol=0.05)
    assert not np.array_equal(found, affine_output())


def test_it_is_not_compiled_again(artifact: Artifact) -> None:
    with pytest.raises(LoadError, match="compiled already"):
        load(artifact, compile=True)


def test_a_failure_inside_is_told_in_one_line(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(Failing()), tmp_path / "model.pt")
    with pytest.raises(ExecutionError, match=r"computing small: .*fails on purpose") as caught:
        load(make_artifact(tmp_path, "torchscript", {"program": "model.pt"})).forward(affine_inputs())
    assert "\n" not in str(caught.value)


class Failing(torch.nn.Module):
    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        if bool(x.sum() > -1e9):
            raise ValueError("fails on purpose")
        return scale
