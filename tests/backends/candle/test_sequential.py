"""Chains of layers: packed from Python modules, and equal to PyTorch."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import inferox
from inferox.backends.candle.export import LAYERS_FILE, CandleExporter
from inferox.core import WEIGHTS_FILE, Artifact, LoadError, OutOfMemoryError, TrustTier
from inferox.parity import ParityClass
from inferox.sources import open_source
from tests.backends.candle.artifacts import load, padded

WIDTH = 6


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - PyTorch's own word for it
        return torch.relu(self.layer(input)) + input


class Forked(Residual):
    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - PyTorch's own word for it
        torch.relu(self.layer(input))
        return torch.tanh(input)


class HandWritten(nn.Module):
    """A class of its own, with functions and methods as activations, one layer used twice, and shared weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH, bias=False)
        self.second.weight = self.first.weight
        self.norm = nn.LayerNorm(WIDTH, eps=0.1)
        self.drop = nn.Dropout(0.5)

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - PyTorch's own word for it
        states = nn.functional.gelu(self.first(input), approximate="tanh")
        states = torch.sigmoid(self.drop(self.first(states)))
        return self.second(self.norm(states).tanh())  # type: ignore[no-any-return]


class Branching(nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - PyTorch's own word for it
        return super().forward(input) if input.sum() > 0 else input


CHAINS: dict[str, Callable[[], nn.Module]] = {
    "all": lambda: nn.Sequential(
        nn.Linear(WIDTH, 9), nn.ReLU(), nn.LayerNorm(9), nn.Linear(9, 4), nn.GELU(), nn.Linear(4, 5), nn.Tanh()
    ),
    "nested": lambda: nn.Sequential(
        OrderedDict(
            a=nn.Sequential(nn.Linear(WIDTH, 3, bias=False), nn.SiLU(), nn.Dropout(), nn.Identity()),
            b=nn.LayerNorm(3, elementwise_affine=False),
        )
    ),
    "tanh gelu": lambda: nn.Sequential(nn.Linear(WIDTH, 4), nn.GELU(approximate="tanh"), nn.Sigmoid()),
    "no weights": lambda: nn.Sequential(nn.Tanh()),
    "hand-written": HandWritten,
}

REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "convolution": (lambda: nn.Sequential(nn.Conv1d(WIDTH, 2, 1)), "does not support Conv1d"),
    "softmax": (lambda: nn.Sequential(nn.Linear(WIDTH, 2), nn.Softmax(-1)), r"does not support Softmax\(dim=-1\)"),
    "two axes": (lambda: nn.Sequential(nn.LayerNorm((3, WIDTH))), "does not support LayerNorm"),
    "residual": (Residual, "an addition|does not depend on the previous layer alone"),
    "fork": (Forked, "does not depend on the previous layer alone"),
    "branch": (lambda: Branching(WIDTH, WIDTH), "forward cannot be read"),
    "flatten": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * WIDTH, 2)), "does not support Flatten"),
}


def example(rows: int = 2) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((rows, 3, WIDTH)).astype(np.float32) * 3


def source_of(make: Callable[[], nn.Module]) -> Callable[[], Any]:
    def factory() -> tuple[nn.Module, dict[str, np.ndarray]]:
        torch.manual_seed(5)
        return make(), {"input": example().swapaxes(1, 2) if isinstance(make(), nn.Conv1d) else example()}

    return factory


@pytest.mark.parametrize("name", CHAINS)
def test_chains_agree_with_pytorch(tmp_path: Path, name: str) -> None:
    factory = source_of(CHAINS[name])
    report = inferox.pack(factory, tmp_path / "p", backends=["candle"])
    assert [item.parity_class for item in report.evidence] == [ParityClass.EXACT]
    assert inferox.open_package(tmp_path / "p").trust_tier is TrustTier.DATA
    module, _ = factory()
    with inferox.load(tmp_path / "p", backend="candle") as model, torch.inference_mode():
        for rows in (5, 1):
            found = model.forward(example(rows))["output"].numpy()
            np.testing.assert_allclose(found, module.eval()(torch.from_numpy(example(rows))), atol=1e-6)
        nothing = model.forward(example(0))["output"]
        assert nothing.shape == (0, *found.shape[1:])


@pytest.mark.parametrize("name", REFUSED)
def test_other_modules_are_refused_by_name(tmp_path: Path, name: str) -> None:
    make, message = REFUSED[name]
    examples = {"input": example().swapaxes(1, 2) if name == "convolution" else example()}
    source = open_source(lambda: (make(), examples))
    with pytest.raises(LoadError, match=message):
        CandleExporter().export(source, tmp_path, padded(source))
    assert list(tmp_path.iterdir()) == []


def test_modules_of_other_tensors_are_refused(tmp_path: Path) -> None:
    source = open_source(lambda: (nn.Embedding(9, 2), {"input": np.ones((2, 3), np.int64)}))
    with pytest.raises(LoadError, match="from one f32 tensor to one, not input: i64"):
        CandleExporter().export(source, tmp_path, padded(source))


def artifact_of(folder: Path) -> Artifact:
    inferox.pack(source_of(CHAINS["all"]), folder, backends=["candle"])
    (artifact,) = inferox.open_package(folder).artifacts
    return artifact


def test_what_it_writes(tmp_path: Path) -> None:
    artifact = artifact_of(tmp_path / "p")
    assert dict(artifact.files) == {"config": LAYERS_FILE, "weights": WEIGHTS_FILE}
    layers = json.loads((tmp_path / "p" / LAYERS_FILE).read_text())["layers"]
    assert layers[:3] == [
        {"type": "linear", "weight": "0.weight", "bias": "0.bias"},
        {"type": "relu"},
        {"type": "layer_norm", "weight": "2.weight", "bias": "2.bias", "width": 9, "eps": 1e-5},
    ]


def test_its_own_tensors_are_taken_as_they_are(tmp_path: Path) -> None:
    from inferox.backends.candle import CandleBackend

    with load(artifact_of(tmp_path / "p")) as model:
        own = CandleBackend().tensor_builder().from_numpy(example())
        np.testing.assert_array_equal(
            model.forward({"input": own})["output"].numpy(), model.forward({"input": example()})["output"].numpy()
        )


def test_rows_that_cannot_fit(tmp_path: Path) -> None:
    with load(artifact_of(tmp_path / "p")) as model, pytest.raises(OutOfMemoryError):
        model.forward(np.broadcast_to(np.float32(1), (2**34, 3, WIDTH)))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (None, "must list its layers"),
        ([{"type": "attention"}], "a layer must be one of .*, but is 'attention'"),
        ([3], "a layer must be one of .*, but is None"),
        ([{"type": "linear"}], "must name its weight"),
        ([{"type": "linear", "weight": 3}], "the name of a weight"),
        ([{"type": "linear", "weight": "nope"}], "nope is missing"),
        ([{"type": "layer_norm", "width": 0, "eps": 1e-5}], "must state its width"),
        ([{"type": "layer_norm", "width": 3, "eps": 1e-5, "weight": "0.weight"}], "must have the shape"),
        ([], "no place for [68] weights"),
    ],
)
def test_descriptions_that_it_refuses(tmp_path: Path, layers: Any, message: str) -> None:
    artifact = artifact_of(tmp_path / "p")
    path = tmp_path / "p" / LAYERS_FILE
    path.write_text(json.dumps({"model_type": "sequential", "layers": layers}))
    with pytest.raises(LoadError, match=message):
        load(replace(artifact, root=tmp_path / "p"))
