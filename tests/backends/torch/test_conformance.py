"""PyTorch meets the contract, in each kind of program that it reads."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from inferox.backends.torch import TorchBackend
from inferox.core import WEIGHTS_FILE, Artifact, Backend, DataType, Layout, Precision
from inferox.testing.conformance import ArtifactConformance, BackendConformance, Subject
from inferox.testing.mlp import SIGNATURE, mlp_inputs, mlp_weights
from tests.backends.torch.artifacts import make_artifact

FACTORY = """
import torch

def create_model(package_dir, backend):
    return torch.nn.Sequential(
        torch.nn.Linear(8, 1024),
        torch.nn.ReLU(),
        torch.nn.Linear(1024, 1024),
        torch.nn.ReLU(),
        torch.nn.Linear(1024, 3),
    )
"""


def make_mlp() -> torch.nn.Module:
    made: dict[str, object] = {}
    exec(FACTORY, made)  # noqa: S102 - the text above
    module = made["create_model"](None, None)  # type: ignore[operator]
    assert isinstance(module, torch.nn.Module)
    module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in mlp_weights().items()})
    return module.eval()


class OfTorch(Subject):
    dtypes = frozenset(DataType)
    runtime = "torch"
    code_formats = ("torchscript", "torch-export", "aotinductor", "state-dict")

    @classmethod
    def make_backend(cls) -> Backend:
        return TorchBackend.cpu()


class TestTorchScript(OfTorch, BackendConformance):
    @classmethod
    def make_artifact(cls, root: Path) -> Artifact:
        traced = torch.jit.trace(make_mlp(), torch.from_numpy(mlp_inputs(2)["x"]))
        torch.jit.save(traced, root / "model.pt")
        return make_artifact(root, "torchscript", {"program": "model.pt"}, signature=SIGNATURE)


class TestExportedProgram(OfTorch, ArtifactConformance):
    @classmethod
    def make_artifact(cls, root: Path) -> Artifact:
        rows = {0: torch.export.Dim.AUTO}
        program = torch.export.export(make_mlp(), (torch.from_numpy(mlp_inputs(2)["x"]),), dynamic_shapes=(rows,))
        torch.export.save(program, root / "model.pt2")
        return make_artifact(root, "torch-export", {"program": "model.pt2"}, signature=SIGNATURE)


class TestStateDict(OfTorch, ArtifactConformance):
    precision = Precision.FP32

    @classmethod
    def make_artifact(cls, root: Path) -> Artifact:
        (root / "model.py").write_text(FACTORY, encoding="utf-8")
        (root / WEIGHTS_FILE).parent.mkdir()
        save_file(make_mlp().state_dict(), root / WEIGHTS_FILE)
        files = {"factory": "model.py", "weights": WEIGHTS_FILE}
        return Artifact("torch", "state-dict", cls.precision, Layout.PADDED, files, SIGNATURE, root)


class TestInt8(TestStateDict):
    """The same, with weights that are quantised to int8 at load time."""

    precision = Precision.INT8
    tolerance = 0.05
