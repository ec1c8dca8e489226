from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch._inductor import config as inductor_config
from torch.export import Dim, ExportedProgram

from inferox.backends.torch import TorchBackend
from inferox.backends.torch.loaders.exported import load_exported, restore_weights, save_without_weights
from inferox.core import Artifact, DataType, LoadError, LoadOptions, Precision, Signature, TensorSpec
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
from tests.packing.modules import make_tied

CPU = torch.device("cpu")
DYNAMIC = {"x": {0: Dim.AUTO}, "scale": {0: Dim.AUTO}}


def capture(*, by_name: bool = True) -> ExportedProgram:
    examples = {name: torch.from_numpy(value) for name, value in affine_inputs().items()}
    if by_name:
        return torch.export.export(make_affine(), (), examples, dynamic_shapes=DYNAMIC)
    return torch.export.export(make_affine(), tuple(examples.values()), dynamic_shapes=DYNAMIC)


@pytest.fixture(params=["whole", "stripped"])
def artifact(tmp_path: Path, request: pytest.FixtureRequest) -> Artifact:
    if request.param == "whole":
        torch.export.save(capture(), tmp_path / "model.pt2")
        return make_artifact(tmp_path, "torch-export", {"program": "model.pt2"})
    save_without_weights(capture(), tmp_path / "model.pt2")
    save_file(dict(make_affine().state_dict()), tmp_path / "model.safetensors")
    return make_artifact(tmp_path, "torch-export", {"program": "model.pt2", "weights": "model.safetensors"})


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_it_computes_what_the_module_does(artifact: Artifact, rows: int) -> None:
    np.testing.assert_allclose(run(load(artifact), affine_inputs(rows))["y"], affine_output(rows), rtol=1e-6)


def test_its_weights_are_counted(artifact: Artifact) -> None:
    # The offset is a constant of the program, which its state dict does not hold.
    assert load(artifact).memory_requirements().weights_bytes >= (4 * 3 + 3) * 4


def test_inputs_by_position(tmp_path: Path) -> None:
    torch.export.save(capture(by_name=False), tmp_path / "model.pt2")
    model = load(make_artifact(tmp_path, "torch-export", {"program": "model.pt2"}))
    np.testing.assert_allclose(run(model, affine_inputs(3))["y"], affine_output(3), rtol=1e-6)


def test_a_program_of_other_inputs(artifact: Artifact) -> None:
    spec = TensorSpec("image", DataType.F32, ("batch", 4))
    with pytest.raises(LoadError, match="by name, but the signature lists image"):
        load(replace(artifact, signature=Signature((spec,), artifact.signature.outputs)))


def test_a_program_is_not_quantised(artifact: Artifact) -> None:
    with pytest.raises(LoadError, match=r"no linear layer .* int8.*as it was captured"):
        load(replace(artifact, precision=Precision.INT8))


def test_a_lower_precision(artifact: Artifact) -> None:
    found = run(load(replace(artifact, precision=Precision.BF16)), affine_inputs())["y"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, affine_output(), atol=0.05)


def test_it_can_be_compiled(artifact: Artifact) -> None:
    # Compiled quickly: without testing which vector instructions the compiler supports, or headers for later kernels.
    with inductor_config.patch({"cpp.vec_isa_ok": False, "cpp_cache_precompile_headers": False}):
        model = load(artifact, compile=True)
        for rows in (1, 2, 5):
            np.testing.assert_allclose(run(model, affine_inputs(rows))["y"], affine_output(rows), rtol=1e-5)


class Large(torch.nn.Module):
    """Weights of several types, a frozen one, a persistent buffer, and a constant in its code."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(200, 200)
        self.frozen = torch.nn.Parameter(torch.ones(200, dtype=torch.float64), requires_grad=False)
        self.scalar = torch.nn.Parameter(torch.tensor(3.0))
        self.empty = torch.nn.Parameter(torch.zeros(0, 4))
        self.counts = torch.nn.Buffer(torch.arange(200))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        whole: torch.Tensor = self.linear(x) * self.frozen.float() * self.scalar + self.counts + self.empty.sum()
        return whole + torch.tensor([0.5])


def test_a_program_without_weights_is_small_and_comes_back_whole(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Large().eval()
    program = torch.export.export(module, (torch.randn(2, 200),), dynamic_shapes=({0: Dim.AUTO},))
    before = {name: value.clone() for name, value in program.state_dict.items()}
    save_without_weights(program, tmp_path / "model.pt2")
    assert (tmp_path / "model.pt2").stat().st_size < 60_000 < 200 * 200 * 4
    assert all(torch.equal(program.state_dict[name], value) for name, value in before.items())
    save_file(before, tmp_path / "model.safetensors")
    restored = torch.export.load(tmp_path / "model.pt2")
    restore_weights(restored, tmp_path / "model.safetensors", CPU)
    rows = torch.randn(5, 200)
    with torch.no_grad():
        assert torch.equal(restored.module()(rows), module(rows))


def test_saving_without_weights_says_nothing(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    save_without_weights(capture(), tmp_path / "model.pt2")
    assert not [warning for warning in recwarn if "No complete tensor" in str(warning.message)]


def test_a_program_keeps_its_weights_where_saving_fails(tmp_path: Path) -> None:
    program = capture()
    before = dict(program.state_dict)
    with pytest.raises(RuntimeError, match="does not exist"):
        save_without_weights(program, tmp_path / "absent" / "model.pt2")
    assert program.state_dict == before


class Making(torch.nn.Module):
    """Makes tensors while it computes, whose device is in the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        places = torch.arange(3, device=x.device) + torch.tensor([1.0, 2.0, 3.0]) + torch.zeros(3)
        found: torch.Tensor = self.linear(x) * scale[:, None] + places.to(x.device)
        return found


def test_a_program_moves_with_all_that_it_makes(tmp_path: Path) -> None:
    examples = tuple(torch.from_numpy(value) for value in affine_inputs().values())
    torch.export.save(torch.export.export(Making(), examples), tmp_path / "model.pt2")
    artifact = make_artifact(tmp_path, "torch-export", {"program": "model.pt2"})
    # PyTorch's meta device only computes shapes, and refuses tensors of other devices as any device does.
    program = load_exported(artifact, torch.device("meta"), LoadOptions("small"), TorchBackend())
    output = program.call({"x": examples[0].to("meta"), "scale": examples[1].to("meta")})
    assert output.is_meta


@pytest.fixture
def tied(tmp_path: Path) -> Artifact:
    module = make_tied()[0].eval()
    program = torch.export.export(module, (torch.arange(10).reshape(2, 5), torch.ones(2)))
    save_without_weights(program, tmp_path / "model.pt2")
    shared = {"embed.weight": module.get_parameter("embed.weight").data}
    save_file(shared, tmp_path / "model.safetensors", metadata={"format": "pt", "unembed.weight": "embed.weight"})
    signature = Signature(
        (TensorSpec("tokens", DataType.I64, (2, 5)), TensorSpec("scale", DataType.F32, (2,))),
        (TensorSpec("output", DataType.F32, (2, 5, 20)),),
    )
    files = {"program": "model.pt2", "weights": "model.safetensors"}
    return make_artifact(tmp_path, "torch-export", files, signature=signature)


def test_weights_that_share_memory_share_it_again(tied: Artifact) -> None:
    module, inputs = make_tied()
    model = load(tied)
    assert model.memory_requirements().weights_bytes == 20 * 6 * 4
    with torch.no_grad():
        expected = module(**{name: torch.from_numpy(value) for name, value in inputs.items()}).numpy()
    np.testing.assert_array_equal(run(model, inputs)["output"], expected)


def test_weights_that_share_memory_go_to_a_device_once(tied: Artifact) -> None:
    program = torch.export.load(tied.path("program"))
    restore_weights(program, tied.path("weights"), torch.device("meta"))
    embed, unembed = (program.state_dict[name] for name in ("embed.weight", "unembed.weight"))
    assert embed.is_meta
    assert embed.untyped_storage()._cdata == unembed.untyped_storage()._cdata


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"linear.weight": None}, "needs the weight linear.weight, which model.safetensors lacks"),
        ({"linear.weight": torch.zeros(3, 5)}, r"is torch.float32 \[3, 5\], but the program needs"),
        ({"linear.bias": torch.zeros(3, dtype=torch.float16)}, "is torch.float16"),
    ],
)
def test_weights_that_do_not_fit(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    save_without_weights(capture(), tmp_path / "model.pt2")
    weights = {**make_affine().state_dict(), **change}
    save_file({name: value for name, value in weights.items() if value is not None}, tmp_path / "model.safetensors")
    files = {"program": "model.pt2", "weights": "model.safetensors"}
    with pytest.raises(LoadError, match=text):
        load(make_artifact(tmp_path, "torch-export", files))


class Holding(torch.nn.Module):
    """Returns what it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2, 3))
        self.buffer = torch.nn.Buffer(torch.ones(3), persistent=False)
        self.plain = torch.ones(3)

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.weight[1], self.buffer, self.plain, torch.tensor([1.0, 2.0, 3.0]), x.sum() * scale


def test_what_a_program_holds_stays_its_own(tmp_path: Path) -> None:
    examples = {name: torch.from_numpy(value) for name, value in affine_inputs().items()}
    torch.export.save(torch.export.export(Holding(), (), examples), tmp_path / "model.pt2")
    outputs = tuple(TensorSpec(name, DataType.F32, (3,)) for name in "abcd")
    signature = replace(AFFINE_SIGNATURE, outputs=outputs)
    assert_own(load(make_artifact(tmp_path, "torch-export", {"program": "model.pt2"}, signature=signature)))
