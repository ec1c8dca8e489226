from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inferox.core import Artifact, DataType, ExecutionError, LoadError, Precision, TensorSpec
from tests.backends.torch.artifacts import (
    AFFINE_SIGNATURE,
    affine_inputs,
    affine_output,
    assert_own,
    load,
    make_affine,
    make_artifact,
    run,
)


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
    with pytest.raises(ExecutionError, match=r"computing 'small': .*fails on purpose") as caught:
        load(make_artifact(tmp_path, "torchscript", {"program": "model.pt"})).forward(affine_inputs())
    assert "\n" not in str(caught.value)


class Failing(torch.nn.Module):
    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        if bool(x.sum() > -1e9):
            raise ValueError("fails on purpose")
        return scale


class Holding(torch.nn.Module):
    """Returns what it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2, 3))
        self.buffer = torch.nn.Buffer(torch.ones(3), persistent=False)
        self.plain = torch.ones(3)
        self.listed = [torch.ones(3)]
        self.inner = Inner()

    def forward(
        self, x: torch.Tensor, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.weight[1], self.buffer, self.plain, self.listed[0], self.inner(x + scale[:, None])


class Inner(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.plain = torch.ones(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.plain if bool(x.sum() > -1e9) else x[0]


@pytest.mark.parametrize("frozen", [False, True])
def test_what_a_program_holds_stays_its_own(tmp_path: Path, frozen: bool) -> None:
    program = torch.jit.script(Holding().eval())
    torch.jit.save(torch.jit.freeze(program) if frozen else program, tmp_path / "model.pt")
    outputs = tuple(TensorSpec(name, DataType.F32, (3,)) for name in "abcde")
    signature = replace(AFFINE_SIGNATURE, outputs=outputs)
    assert_own(load(make_artifact(tmp_path, "torchscript", {"program": "model.pt"}, signature=signature)))
