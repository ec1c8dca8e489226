"""A failure inside a program is an error of Inferox, with any number of threads, and the next valid call is right."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from inferox.backends.torch import TorchBackend
from inferox.core import DataType, ExecutionError, LoadOptions, Signature, TensorSpec
from tests.backends.torch.artifacts import make_artifact

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Gather(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.arange(4).to(torch.float32)[x + 1]


class Lookup(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.embedding(x + 1, torch.arange(4).to(torch.float32)[:, None])


class Reshape(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.arange(4).to(torch.float32).reshape(int(x[0].item()), 2)


class Broadcast(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ones(4) + torch.ones(int(x[0].item()))


class Divide(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.div(7 * torch.ones_like(x), x, rounding_mode="floor").to(torch.float32)


class Remainder(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.remainder(7 * torch.ones_like(x), x).to(torch.float32)


@pytest.mark.parametrize("threads", sorted({1, 2, CORES}))
@pytest.mark.parametrize(
    "case",
    [
        (Gather(), [2, 0], [3, 1], [2, 5]),
        (Gather(), [2, 0], [3, 1], [10**9, 0]),
        (Lookup(), [2, 0], [3, 1], [3, 0]),
        (Reshape(), [2], [0, 1, 2, 3], [3]),
        (Broadcast(), [4], [2, 2, 2, 2], [3]),
        (Divide(), [2, 7], [3, 1], [2, 0]),
        (Remainder(), [2, 7], [1, 0], [2, 0]),
    ],
    ids=lambda case: type(case[0]).__name__,
)
def test_it_raises_and_the_next_call_is_right(
    tmp_path: Path, case: tuple[torch.nn.Module, list[int], list[int], list[int]], threads: int
) -> None:
    module, good, expected, bad = case
    torch.jit.save(torch.jit.script(module), tmp_path / "model.pt")
    signature = Signature((TensorSpec("x", DataType.I64, ("n",)),), (TensorSpec("y", DataType.F32, ("m",)),))
    artifact = make_artifact(tmp_path, "torchscript", {"program": "model.pt"}, signature=signature)

    with TorchBackend.cpu().load(artifact, None, LoadOptions("failing", threads=threads, trust_code=True)) as model:

        def compute(numbers: list[int]) -> npt.NDArray[np.float32]:
            (output,) = model.forward({"x": np.array(numbers)}).values()
            return np.asarray(output.numpy()).ravel()

        for _ in range(3):
            np.testing.assert_array_equal(compute(good), expected)
            with pytest.raises(ExecutionError):
                compute(bad)
        np.testing.assert_array_equal(compute(good), expected)
