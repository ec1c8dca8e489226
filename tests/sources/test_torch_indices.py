"""Inputs of modules that are indices of a table's rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import inferox
from inferox.core import RequestError
from inferox.sources.program import open_program
from inferox.sources.python import open_module

ROWS = 10
IDS = torch.tensor([[1, 2, 3], [9, 0, 4]])


class Tables(nn.Module):
    """Embeds the result of a function of the ids, in a table of 10 rows."""

    def __init__(self, prepare: Callable[[torch.Tensor], torch.Tensor], rows: int = ROWS) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, 4)
        self.prepare = prepare

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self.table(self.prepare(ids))
        return vectors.sum(-1)


def bound_of(module: nn.Module, ids: torch.Tensor = IDS) -> int | None:
    (spec,) = open_module(module, {"ids": ids}, samples=None, dims=None).signature.inputs
    return spec.upper_bound


@pytest.mark.parametrize(
    "prepare",
    [
        lambda ids: ids,
        lambda ids: ids.to(torch.int32),
        lambda ids: ids.T.contiguous().T,
        lambda ids: ids.reshape(-1).view(ids.shape),
        lambda ids: ids.unsqueeze(0).expand(2, -1, -1).repeat(1, 1, 2),
    ],
    ids=["itself", "converted", "transposed", "reshaped", "repeated"],
)
def test_what_numbers_the_rows_of_a_table_is_bounded_by_it(
    prepare: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    assert bound_of(Tables(prepare)) == ROWS


@pytest.mark.parametrize(
    "prepare",
    [
        lambda ids: ids.clamp(0, ROWS - 1),
        lambda ids: ids % ROWS,
        lambda ids: ids[:, 1:],
        lambda ids: ids + 0,
        lambda ids: ids.to(torch.int8).to(torch.int64),
    ],
    ids=["clamped", "remainder", "a part of it", "added", "narrowed"],
)
def test_what_only_follows_from_an_input_says_nothing_of_it(prepare: Callable[[torch.Tensor], torch.Tensor]) -> None:
    assert bound_of(Tables(prepare)) is None


def test_the_shorter_of_two_tables_counts() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.long, self.short = nn.Embedding(50, 4), nn.Embedding(ROWS, 4)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            vectors: torch.Tensor = self.short(ids) + self.long(ids)
            return vectors.sum(-1)

    assert bound_of(Two()) == ROWS


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_rows_are_bounded_by_their_table(mode: str) -> None:
    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.EmbeddingBag(ROWS, 4, mode=mode)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            vectors: torch.Tensor = self.table(ids)
            return vectors

    assert bound_of(Bag()) == ROWS


def test_programs_have_the_bounds_of_their_tables(tmp_path: Path) -> None:
    module = Tables(torch.clone).eval()
    torch.export.save(torch.export.export(module, (IDS,)), tmp_path / "m.pt2")
    plain = nn.Embedding(ROWS, 4).eval()
    torch.jit.save(torch.jit.script(plain), tmp_path / "m.pt")
    np.savez(tmp_path / "samples.npz", input=IDS.numpy())

    exported = open_program(tmp_path / "m.pt2", samples=None, dims=None, trust_code=True)
    scripted = open_program(tmp_path / "m.pt", samples=tmp_path / "samples.npz", dims=None, trust_code=True)

    assert [spec.upper_bound for source in (exported, scripted) for spec in source.signature.inputs] == [ROWS, ROWS]


def test_every_runtime_refuses_ids_that_the_table_lacks(tmp_path: Path) -> None:
    package = tmp_path / "m.mlpkg"
    inferox.pack(Tables(torch.clone), package, example_inputs=IDS, backends=["onnxruntime", "openvino"])

    for backend in ("onnxruntime", "openvino"):
        with inferox.load(package, backend) as model:
            for wrong in (ROWS, -1):
                with pytest.raises(RequestError, match=f"must hold numbers from 0 to 9, but holds {wrong}"):
                    model.forward(np.array([[1, 2, wrong]]))
