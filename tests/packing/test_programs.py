"""Modules outside transformers: from Python, from TorchScript, from torch.export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import inferox
from inferox.core import (
    ConfigError,
    InferoxError,
    ManifestError,
    PackageError,
    ShapeMismatchError,
    UntrustedCodeError,
)
from tests.packing import modules
from tests.packing.modules import make_cnn, make_lstm, make_tied


def expected_of(module: torch.nn.Module, inputs: dict[str, Any]) -> Any:
    with torch.inference_mode():
        return module.eval()(**{name: torch.as_tensor(value) for name, value in inputs.items()})


def run(package: Path, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    with inferox.load(package, trust_code=True) as model:
        return {name: value.numpy() for name, value in model.forward(inputs).items()}


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_convolutional_network(tmp_path: Path, rows: int) -> None:
    report = inferox.pack(make_cnn, tmp_path / "cnn.mlpkg")
    assert [item.artifact for item in report.evidence] == ["torch/torch-export/fp32/padded"]
    images = np.random.default_rng(rows).standard_normal((rows, 3, 8, 8)).astype(np.float32)
    module, _ = make_cnn()
    np.testing.assert_allclose(
        run(tmp_path / "cnn.mlpkg", {"image": images})["output"], expected_of(module, {"image": images}), atol=1e-5
    )


def test_a_recurrent_network_states_the_length_that_it_was_captured_for(tmp_path: Path) -> None:
    inferox.pack(make_lstm, tmp_path / "lstm", dims={"steps": ("batch", "seq", 4)})
    module, _ = make_lstm()
    for rows in (1, 3):
        steps = torch.randn(rows, 7, 4)
        found, expected = run(tmp_path / "lstm", {"steps": steps.numpy()}), expected_of(module, {"steps": steps})
        assert set(found) == {"states", "scores"}
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, atol=1e-5)
    with inferox.load(tmp_path / "lstm", trust_code=True) as model:
        assert model.signature.inputs[0].dims == ("batch", 7, 4)
        with pytest.raises(ShapeMismatchError):
            model.forward(np.zeros((1, 8, 4), np.float32))


def test_tied_weights_are_stored_once_and_come_back(tmp_path: Path) -> None:
    steps: list[str] = []
    report = inferox.pack(make_tied, tmp_path / "tied", progress=steps.append)
    assert steps[0] == "loading the model"
    assert not any(step.startswith("proving") for step in steps), "no library defines a module of one's own"
    assert report.evidence[0].rows
    assert "RowAgreement" not in repr(report)
    module, inputs = make_tied()
    assert (tmp_path / "tied" / "weights" / "model.safetensors").stat().st_size < 2 * 20 * 6 * 4
    assert inferox.open_package(tmp_path / "tied").artifacts[0].files["weights"] == "weights/model.safetensors"
    np.testing.assert_allclose(run(tmp_path / "tied", inputs)["output"], expected_of(module, inputs), atol=1e-6)


def test_a_function_in_a_file_and_in_a_module_of_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(modules.__file__).read_text(encoding="utf-8")
    (tmp_path / "my_models.py").write_text(source, encoding="utf-8")
    inferox.pack(f"python:{tmp_path / 'my_models.py'}:make_cnn", tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    inferox.pack("python:my_models:make_cnn", tmp_path / "b")
    _, inputs = make_cnn()
    np.testing.assert_array_equal(run(tmp_path / "a", inputs)["output"], run(tmp_path / "b", inputs)["output"])


@pytest.fixture
def scripted(tmp_path: Path) -> Path:
    module, examples = make_cnn()
    torch.jit.save(torch.jit.script(module.eval()), tmp_path / "cnn.pt")
    np.savez(tmp_path / "inputs.npz", image=examples["image"])
    return tmp_path / "cnn.pt"


def test_torchscript(tmp_path: Path, scripted: Path) -> None:
    report = inferox.pack(scripted, tmp_path / "p", samples=tmp_path / "inputs.npz", trust_code=True)
    assert [item.artifact for item in report.evidence] == ["torch/torchscript/fp32/padded"]
    module, _ = make_cnn()
    images = np.random.default_rng(9).standard_normal((3, 3, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(
        run(tmp_path / "p", {"image": images})["output"], expected_of(module, {"image": images}), atol=1e-5
    )


def test_torchscript_needs_trust_to_pack_and_to_load(tmp_path: Path, scripted: Path) -> None:
    with pytest.raises(UntrustedCodeError, match="--trust-code"):
        inferox.pack(scripted, tmp_path / "p", samples=tmp_path / "inputs.npz")
    inferox.pack(scripted, tmp_path / "p", samples=tmp_path / "inputs.npz", trust_code=True)
    with pytest.raises(UntrustedCodeError, match="--trust-code"):
        inferox.load(tmp_path / "p")


def test_torchscript_needs_example_inputs_of_the_right_names(tmp_path: Path, scripted: Path) -> None:
    with pytest.raises(PackageError, match="takes image"):
        inferox.pack(scripted, tmp_path / "p", trust_code=True)
    np.savez(tmp_path / "wrong.npz", picture=np.zeros((1, 3, 8, 8), np.float32))
    with pytest.raises(PackageError, match="takes image, but the samples are of picture"):
        inferox.pack(scripted, tmp_path / "p", samples=tmp_path / "wrong.npz", trust_code=True)
    (tmp_path / "broken.npz").write_bytes(b"PK")
    with pytest.raises(PackageError, match="cannot be read"):
        inferox.pack(scripted, tmp_path / "p", samples=tmp_path / "broken.npz", trust_code=True)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("by_name", [True, False])
def test_an_exported_program(tmp_path: Path, by_name: bool) -> None:
    module, examples = make_cnn()
    images = torch.as_tensor(examples["image"])
    dynamic = {0: torch.export.Dim.AUTO}
    program = (
        torch.export.export(module.eval(), (), {"image": images}, dynamic_shapes={"image": dynamic})
        if by_name
        else torch.export.export(module.eval(), (images,), dynamic_shapes=(dynamic,))
    )
    torch.export.save(program, tmp_path / "cnn.pt2")
    with pytest.raises(UntrustedCodeError):
        inferox.pack(tmp_path / "cnn.pt2", tmp_path / "p")
    inferox.pack(tmp_path / "cnn.pt2", tmp_path / "p", trust_code=True)
    other = np.random.default_rng(5).standard_normal((1, 3, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(
        run(tmp_path / "p", {"image": other})["output"], expected_of(module, {"image": other}), atol=1e-5
    )


def test_weights_without_a_model_say_how_to_pack_them(tmp_path: Path) -> None:
    torch.save(make_cnn()[0].state_dict(), tmp_path / "model.pt")
    with pytest.raises(PackageError, match="weights without a model"):
        inferox.pack(tmp_path / "model.pt", tmp_path / "p", trust_code=True)


def test_a_file_that_is_nothing_of_the_kind(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(PackageError, match="is not a TorchScript file"):
        inferox.pack(tmp_path / "model.pt", tmp_path / "p", trust_code=True)


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        (modules.make_bare_module, PackageError, "no example inputs"),
        (modules.make_nothing, PackageError, "must return a torch.nn.Module"),
        (modules.fail, PackageError, "no weights today"),
        (modules.make_wrong_names, PackageError, "unknown picture; missing image"),
        (modules.make_wrong_shape, PackageError, "fails on its example inputs"),
        (modules.make_nan, ManifestError, "NaN"),
        ("python:tests.packing.modules", PackageError, "not the location of a function"),
        ("python:tests.packing.modules:nope", PackageError, "has no function 'nope'"),
        ("python:tests.no.such:make", PackageError, "there is no module"),
        ("python:no/such/file.py:make", PackageError, "there is no file"),
    ],
)
def test_functions_that_make_no_model(
    tmp_path: Path, source: str | Callable[[], Any], kind: type[InferoxError], text: str
) -> None:
    with pytest.raises(kind, match=text):
        inferox.pack(source, tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("dims", "text"),
    [({"picture": ("batch",)}, "dims are given for picture"), ({"image": ("batch", 3)}, "has the shape")],
)
def test_dims_that_do_not_fit(tmp_path: Path, dims: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        inferox.pack(make_cnn, tmp_path / "p", dims=dims)


def test_lower_precision_of_a_program_is_refused_with_a_reason(tmp_path: Path) -> None:
    report = inferox.pack(make_cnn, tmp_path / "p", precisions=("fp32", "bf16"))
    assert report.refused == {"torch/bf16/padded": "a python program runs as it was captured, in fp32 and padded"}
    with pytest.raises(PackageError, match="made no artifact that can run it"):
        inferox.pack(make_cnn, tmp_path / "q", precisions=("bf16",))
    with pytest.raises(PackageError, match="torch/int8/padded: a python program runs as it was captured"):
        inferox.pack(make_cnn, tmp_path / "q", precisions=("int8",))
    assert not (tmp_path / "q").exists()
