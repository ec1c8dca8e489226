"""Programs in one file: TorchScript, and captures by torch.export."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from inferox.core import ConfigError, Dim, LoadError, PackageError, SourceModel, UntrustedCodeError
from inferox.sources import open_source
from tests.packing.modules import make_cnn, make_lstm

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


class Optional(torch.nn.Module):
    """Two inputs, the second of which may be left out."""

    def forward(self, x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        return x if y is None else x + y


class Subtract(torch.nn.Module):
    """Two inputs whose order matters."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x - y


def _script(module: torch.nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(module.eval()), path)
    return path


def _export(module: torch.nn.Module, path: Path, arguments: tuple[Any, ...], **options: Any) -> Path:
    torch.export.save(torch.export.export(module.eval(), arguments, **options), path)
    return path


def _samples(path: Path, **arrays: Any) -> Path:
    np.savez(path, allow_pickle=False, **{name: np.asarray(value, dtype=np.float32) for name, value in arrays.items()})
    return path


def _dims(source: SourceModel) -> dict[str, tuple[Dim, ...]]:
    return {spec.name: spec.dims for spec in (*source.signature.inputs, *source.signature.outputs)}


@pytest.fixture
def cnn(tmp_path: Path) -> Path:
    return _script(make_cnn()[0], tmp_path / "cnn.pt")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return _samples(tmp_path / "images.npz", image=make_cnn()[1]["image"])


# TorchScript.


def test_torchscript_is_the_module(cnn: Path, images: Path) -> None:
    source = open_source(cnn, samples=images, trust_code=True)
    assert (source.facts.kind, source.facts.name, source.facts.program) == ("torchscript", "cnn", cnn)
    assert _dims(source) == {"image": ("batch", 3, 8, 8), "output": ("batch", 5)}
    module, examples = make_cnn()
    with torch.inference_mode():
        expected = module.eval()(torch.tensor(examples["image"]))
    assert source.example_inputs is not None
    np.testing.assert_allclose(source.compute(source.example_inputs)["output"], expected, atol=1e-6)
    assert source.num_parameters == sum(value.numel() for value in module.parameters())


def test_torchscript_keeps_its_weights(cnn: Path, images: Path, tmp_path: Path) -> None:
    source = open_source(cnn, samples=images, trust_code=True)
    assert source.save_weights(tmp_path / "weights.safetensors") is False
    assert not (tmp_path / "weights.safetensors").exists()


def test_torchscript_is_known_by_its_contents(cnn: Path, images: Path, tmp_path: Path) -> None:
    renamed = cnn.rename(tmp_path / "model.bin")
    assert open_source(renamed, samples=images, trust_code=True).facts.kind == "torchscript"


def test_torchscript_gives_a_mapping(tmp_path: Path) -> None:
    path = _script(make_lstm()[0], tmp_path / "lstm.ts")
    steps = _samples(tmp_path / "steps.npz", steps=make_lstm()[1]["steps"])
    source = open_source(path, samples=steps, dims={"steps": ["batch", "seq", 4]}, trust_code=True)
    assert _dims(source) == {"steps": ("batch", "seq", 4), "states": ("batch", "seq", 12), "scores": ("batch", 2)}


def test_traced_tuple(tmp_path: Path) -> None:
    class Split(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x[:, :1], x.sum(dim=0)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(Split(), torch.ones(2, 4)).save(str(tmp_path / "split.torchscript"))
    samples = _samples(tmp_path / "x.npz", x=np.ones((2, 4)))
    source = open_source(tmp_path / "split.torchscript", samples=samples, trust_code=True)
    assert _dims(source) == {"x": ("batch", 4), "output_0": ("batch", 1), "output_1": (4,)}


def test_inputs_with_a_default_can_be_left_out(tmp_path: Path) -> None:
    path, ones = _script(Optional(), tmp_path / "optional.pt"), np.ones((2, 4))
    for names in (["x"], ["x", "y"]):
        samples = _samples(tmp_path / "samples.npz", **dict.fromkeys(reversed(names), ones))
        source = open_source(path, samples=samples, trust_code=True)
        assert list(source.signature.input_names) == names
        assert source.compute(source.example_inputs or {})["output"][0, 0] == len(names)
    with pytest.raises(PackageError, match="takes x, but the samples are of y"):
        open_source(path, samples=_samples(tmp_path / "y.npz", y=ones), trust_code=True)


# torch.export.


def test_exported_program_names_its_own_dims(tmp_path: Path) -> None:
    auto = torch.export.Dim.AUTO
    shapes = {"x": {0: auto, 1: auto}, "y": {0: auto, 1: auto}}
    path = _export(Subtract(), tmp_path / "p.pt2", (torch.ones(3, 5), torch.ones(3, 5)), dynamic_shapes=shapes)
    source = open_source(path, trust_code=True)
    assert source.facts.kind == "torch-export"
    assert _dims(source) == dict.fromkeys(("x", "y", "output"), ("batch", "x_1"))
    renamed = open_source(path, dims={"x": ["batch", "seq"], "y": ["batch", "seq"]}, trust_code=True)
    assert _dims(renamed) == dict.fromkeys(("x", "y", "output"), ("batch", "seq"))


def test_exported_program_of_fixed_shapes(tmp_path: Path) -> None:
    path = _export(Subtract(), tmp_path / "p.pt2", (torch.ones(3, 5), torch.ones(3, 5)))
    assert _dims(open_source(path, trust_code=True)) == dict.fromkeys(("x", "y", "output"), (3, 5))


@pytest.mark.parametrize("by_name", [True, False])
def test_exported_inputs_reach_their_places(by_name: bool, tmp_path: Path) -> None:
    x, y, shapes = torch.full((2, 3), 5.0), torch.ones(2, 3), {0: torch.export.Dim.AUTO}
    options: dict[str, Any] = {"dynamic_shapes": {"x": shapes, "y": shapes}}
    arguments = () if by_name else (x, y)
    path = _export(Subtract(), tmp_path / "p.pt2", arguments, kwargs={"y": y, "x": x} if by_name else {}, **options)
    source = open_source(path, trust_code=True)
    given = {"x": np.full((1, 3), 5, np.float32), "y": np.ones((1, 3), np.float32)}
    np.testing.assert_array_equal(source.compute(given)["output"], np.full((1, 3), 4))


def test_samples_replace_the_program_s_own(tmp_path: Path) -> None:
    path = _export(
        make_cnn()[0], tmp_path / "p.pt2", (torch.ones(2, 3, 8, 8),), dynamic_shapes=({0: torch.export.Dim.AUTO},)
    )
    image = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
    save_file({"image": image}, tmp_path / "image.safetensors")
    source = open_source(path, samples=tmp_path / "image.safetensors", trust_code=True)
    assert source.example_inputs is not None
    np.testing.assert_array_equal(source.example_inputs["image"], image)


def test_exported_weights_are_written_apart(tmp_path: Path) -> None:
    module = make_cnn()[0]
    source = open_source(_export(module, tmp_path / "p.pt2", (torch.ones(2, 3, 8, 8),)), trust_code=True)
    assert source.save_weights(tmp_path / "weights.safetensors") is True
    assert source.num_parameters == sum(value.numel() for value in module.parameters())


# Files that are not programs, or must not be loaded.


def test_code_needs_trust(cnn: Path, images: Path, tmp_path: Path) -> None:
    exported = _export(Subtract(), tmp_path / "p.pt2", (torch.ones(1), torch.ones(1)))
    for path in (cnn, exported):
        with pytest.raises(UntrustedCodeError, match="runs code that is in it"):
            open_source(path, samples=images)


@pytest.mark.parametrize("size", [0.0, 0.5])
def test_truncated_program(size: float, cnn: Path) -> None:
    content = cnn.read_bytes()
    cnn.write_bytes(content[: int(len(content) * size)])
    with pytest.raises(PackageError, match="is not a TorchScript file"):
        open_source(cnn, trust_code=True)


def test_damaged_program(cnn: Path, images: Path) -> None:
    content = bytearray(cnn.read_bytes())
    middle = content.index(b"constants.pkl") + 40
    content[middle : middle + 200] = bytes(200)
    cnn.write_bytes(content)
    with pytest.raises(LoadError, match=r"loading cnn\.pt"):
        open_source(cnn, samples=images, trust_code=True)


@pytest.mark.parametrize("old_format", [True, False])
def test_weights_alone(old_format: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(make_cnn()[0].state_dict(), path, _use_new_zipfile_serialization=not old_format)
    with pytest.raises(PackageError, match="python:module:function"):
        open_source(path, trust_code=True)


def test_safetensors_alone(tmp_path: Path) -> None:
    save_file({"a": np.ones(3, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(PackageError, match="weights does not hold a model: give its folder"):
        open_source(tmp_path / "model.safetensors", trust_code=True)


def test_archive_of_something_else(tmp_path: Path) -> None:
    np.savez(tmp_path / "model.pt2", a=np.ones(3))
    with pytest.raises(PackageError, match="is an archive, but neither"):
        open_source((tmp_path / "model.pt2.npz").rename(tmp_path / "model.pt2"), trust_code=True)


def test_samples_are_for_programs(minilm_directory: Path, images: Path) -> None:
    with pytest.raises(ConfigError, match="states what it takes itself"):
        open_source(minilm_directory, samples=images)
    with pytest.raises(ConfigError, match="states what it takes itself"):
        open_source(minilm_directory, dims={"input_ids": ["batch", "seq"]})


def _absent(path: Path) -> None:
    """Writes nothing."""


def _single_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones((2, 3, 8, 8), np.float32))


def _pickled(path: Path) -> None:
    np.savez(path, image=np.array([{}], dtype=object))


def _text(path: Path) -> None:
    path.write_text("image")


def _damaged_member(path: Path) -> None:
    np.savez_compressed(path, image=np.random.default_rng(0).standard_normal((2, 3, 8, 8)))
    content = bytearray(path.read_bytes())
    content[200:400] = bytes(200)
    path.write_bytes(content)


@pytest.mark.parametrize("write", [_absent, _single_array, _pickled, _text, _damaged_member])
def test_samples_that_cannot_be_read(write: Callable[[Path], None], cnn: Path, tmp_path: Path) -> None:
    write(tmp_path / "samples.npz")
    with pytest.raises(PackageError, match=r"samples\.npz cannot be read"):
        open_source(cnn, samples=tmp_path / "samples.npz", trust_code=True)


def test_samples_of_another_kind(cnn: Path, tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_text("1,2")
    with pytest.raises(PackageError, match=r"must be an \.npz or \.safetensors file"):
        open_source(cnn, samples=tmp_path / "samples.csv", trust_code=True)
