"""BERT-base at full size, packed from safetensors and from TorchScript, and compared with PyTorch itself.

The weights are random, from a fixed seed: whether numbers agree does not depend on training. Run it with

    python examples/bert_torch/bert_torch.py

It needs ``inferox[torch]``, about 2 GB of disk in the temporary folder and as much memory, and a minute or two.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.numpy import save_file
from transformers import BertConfig, BertModel

import inferox

TOLERANCE = 1e-5
SEQUENCE_LENGTH = 12


def make_inputs(rows: int, length: int) -> dict[str, np.ndarray]:
    """Makes inputs with random token ids; shape ``[rows, length]``, int64. The last row is half padding."""
    random = np.random.default_rng(0)
    mask = np.ones((rows, length), dtype=np.int64)
    mask[-1, length // 2 :] = 0
    return {
        "input_ids": random.integers(1000, 30000, (rows, length)) * mask,
        "attention_mask": mask,
        "token_type_ids": np.zeros((rows, length), dtype=np.int64),
    }


class TracedBert(torch.nn.Module):
    """BERT with tensors as inputs and one tensor as output, as tracing requires."""

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        """Computes the last hidden state; shape ``[batch, seq, 768]``, float32."""
        found: torch.Tensor = self.bert(input_ids, attention_mask, token_type_ids).last_hidden_state
        return found


def save_sources(folder: Path) -> BertModel:
    """Writes BERT-base as a model directory and as TorchScript, and returns it."""
    torch.manual_seed(0)
    bert = BertModel(BertConfig(), add_pooling_layer=False)
    bert.eval()
    bert.save_pretrained(folder / "bert-base")
    inputs = make_inputs(2, SEQUENCE_LENGTH)
    save_file(inputs, folder / "inputs.safetensors")
    example = tuple(torch.from_numpy(value) for value in inputs.values())
    with warnings.catch_warnings():
        # Tracing warns about every condition on a shape; other shapes are checked below.
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(TracedBert(bert), example), folder / "bert-base.pt")
    return bert


def pack_sources(folder: Path) -> dict[str, Path]:
    """Packs both sources, and returns the packages by the kind of their source."""
    packages = {"safetensors": folder / "bert-safetensors.mlpkg", "TorchScript": folder / "bert-torchscript.mlpkg"}
    inferox.pack(folder / "bert-base", packages["safetensors"], task="raw")
    inferox.pack(
        folder / "bert-base.pt",
        packages["TorchScript"],
        samples=folder / "inputs.safetensors",
        dims=dict.fromkeys(make_inputs(1, 1), ("batch", "seq")),
        trust_code=True,  # TorchScript is code, but this program has just written the file itself
    )
    return packages


def compare(package: Path, bert: BertModel, inputs: dict[str, np.ndarray]) -> tuple[list[int], float, float]:
    """Runs a package and PyTorch on the same inputs.

    Only tokens are compared: outputs at padding are never used, and a packed artifact does not compute them.

    Returns:
        The output's shape, the largest difference, and the seconds that the package took.
    """
    with torch.inference_mode():
        expected = bert(**{name: torch.from_numpy(value) for name, value in inputs.items()}).last_hidden_state.numpy()
    with inferox.load(package, backend="torch", trust_code=True) as model:
        begin = time.perf_counter()
        (output,) = model.forward(inputs).values()
        seconds = time.perf_counter() - begin
        (same,) = model.run([inputs])[0].values()
    found = output.numpy()
    assert np.array_equal(found, same), "the task's interface gives other numbers than forward"
    tokens = inputs["attention_mask"] != 0
    return list(found.shape), float(np.abs(found - expected)[tokens].max()), seconds


def main() -> None:
    """Packs, loads, runs and compares; fails if a difference is too large."""
    console = Console()
    table = Table("made from", "rows", "output", "largest difference", "seconds", title="BERT-base against PyTorch")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Unpacked packages go with the folder, rather than staying in the user's cache.
        os.environ["INFEROX_STORE"] = str(folder / "store")
        with console.status("making BERT-base"):
            bert = save_sources(folder)
        with console.status("packing"):
            packages = pack_sources(folder)
        for made_from, package in packages.items():
            for rows in (1, 4):
                shape, difference, seconds = compare(package, bert, make_inputs(rows, SEQUENCE_LENGTH))
                assert shape == [rows, SEQUENCE_LENGTH, 768], shape
                assert difference <= TOLERANCE, f"{made_from} differs by {difference}"
                table.add_row(made_from, str(rows), str(shape), f"{difference:.1e}", f"{seconds:.3f}")
    console.print(table)


if __name__ == "__main__":
    main()
