"""Modules that a Python function makes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inferox.core import ConfigError, DataType, Dim, PackageError, SourceModel, TensorSpec
from inferox.sources import open_source
from tests.packing.modules import make_cnn, make_lstm, make_tied

LINEAR = "def make():\n    return torch.nn.Linear(4, 3), {'input': torch.ones(2, 4)}\n"


class Add(torch.nn.Module):
    """Two inputs, the second of which may be left out."""

    def forward(self, x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        return x if y is None else x + y


class AddInPlace(torch.nn.Module):
    """A module that writes to its inputs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x += 1
        return x * 2


class Reshape(torch.nn.Module):
    """A module that takes two rows and no other number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(2, 4) + 0


class Squeeze(torch.nn.Module):
    """A module whose output has fewer axes for a single row."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.squeeze()


class Pack(torch.nn.Module):
    """A module whose output has an axis that depends on the input's in its own way."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, ::2]


def _dims(source: SourceModel) -> dict[str, tuple[Dim, ...]]:
    return {spec.name: spec.dims for spec in (*source.signature.inputs, *source.signature.outputs)}


def _open(module: torch.nn.Module, dims: dict[str, list[Dim]] | None = None, **inputs: Any) -> SourceModel:
    return open_source(lambda: (module, inputs), dims=dims)


def _rows(count: int, width: int = 4) -> torch.Tensor:
    return torch.arange(count * width, dtype=torch.float32).reshape(count, width)


@pytest.mark.parametrize(("factory", "rows"), [(make_cnn, 3), (make_lstm, 1), (make_tied, 4)])
def test_reference_is_the_module(factory: Callable[[], Any], rows: int) -> None:
    module, examples = factory()
    source = open_source(factory)
    assert (source.facts.kind, source.facts.name) == ("python", factory.__name__)
    assert source.example_inputs is not None
    assert source.example_inputs.keys() == examples.keys()
    assert source.num_parameters == sum(value.numel() for value in module.parameters())
    inputs = {name: np.resize(np.asarray(value), (rows, *value.shape[1:])) for name, value in examples.items()}
    with torch.inference_mode():
        expected = module.eval()(**{name: torch.tensor(value) for name, value in inputs.items()})
    named = expected if isinstance(expected, dict) else {"output": expected}
    outputs = source.compute(inputs)
    assert outputs.keys() == named.keys()
    for spec in source.signature.outputs:
        np.testing.assert_array_equal(outputs[spec.name], named[spec.name].numpy())
        spec.check(outputs[spec.name], {"batch": rows})


def test_named_dims_are_followed() -> None:
    source = open_source(make_lstm, dims={"steps": ["batch", "seq", 4]})
    assert _dims(source) == {"steps": ("batch", "seq", 4), "states": ("batch", "seq", 12), "scores": ("batch", 2)}


def test_dim_that_depends_on_another_has_its_own_name() -> None:
    assert _dims(_open(Pack(), {"x": ["batch", "width"]}, x=_rows(2)))["output"] == ("batch", "output_1")


def test_number_of_rows_that_a_module_does_not_take_is_fixed() -> None:
    assert _dims(_open(Reshape(), x=_rows(2))) == {"x": (2, 4), "output": (2, 4)}


def test_stated_dim_must_be_free() -> None:
    with pytest.raises(PackageError, match="fails when batch is not 2"):
        _open(Reshape(), {"x": ["batch", 4]}, x=_rows(2))


def test_batch_of_other_inputs_is_still_assumed() -> None:
    source = _open(Add(), {"x": [2, 4]}, x=_rows(2), y=_rows(2))
    assert _dims(source) == {"x": (2, 4), "y": (2, 4), "output": (2, 4)}


def test_number_of_axes_must_not_change() -> None:
    with pytest.raises(PackageError, match="another number when batch is 2"):
        _open(Squeeze(), x=_rows(1))


def test_equal_names_have_equal_extents() -> None:
    with pytest.raises(ConfigError, match="batch is 2 in the example of x, but 5 in that of y"):
        _open(Add(), x=_rows(2), y=_rows(5))
    assert _dims(_open(Add(), {"y": [1, 4]}, x=_rows(2), y=_rows(1)))["y"] == (1, 4)


def test_inputs_stand_in_the_order_of_forward() -> None:
    assert _open(Add(), y=_rows(2), x=_rows(2)).signature.input_names == ("x", "y")
    assert _open(Add(), x=_rows(2)).signature.input_names == ("x",)


def test_module_that_writes_into_its_inputs() -> None:
    given = _rows(2)
    source = _open(AddInPlace(), x=given)
    assert torch.equal(given, _rows(2))
    examples = source.example_inputs
    assert examples is not None
    np.testing.assert_array_equal(examples["x"], _rows(2).numpy())
    np.testing.assert_array_equal(source.compute(examples)["output"], ((_rows(2) + 1) * 2).numpy())
    np.testing.assert_array_equal(examples["x"], _rows(2).numpy())


def test_module_that_returns_a_parameter_and_a_lazy_negation() -> None:
    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.full((3,), 2.0))

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.scale.expand(x.shape[0], 3), torch.complex(x, x).conj().imag

    model = _open(Module().eval(), x=torch.ones(2, 3))
    scale, negated = model.compute({"x": np.ones((2, 3), np.float32)}).values()
    np.testing.assert_array_equal(scale, np.full((2, 3), 2.0))
    np.testing.assert_array_equal(negated, np.full((2, 3), -1.0))


def test_arrays_lists_and_gradients_are_examples() -> None:
    expected = (TensorSpec("x", DataType.F32, ("batch", 4)),)
    for value in (_rows(2).numpy(), _rows(2).requires_grad_(), _rows(2).t().contiguous().t()):
        assert _open(Add(), x=value).signature.inputs == expected
    assert _open(Add(), x=[[1, 2], [3, 4]]).signature.inputs == (TensorSpec("x", DataType.I64, ("batch", 2)),)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_module_in_another_precision(dtype: torch.dtype) -> None:
    with pytest.raises(PackageError, match=f"weights in {dtype}, but the reference has torch.float32"):
        _open(torch.nn.Linear(4, 3).to(dtype), input=_rows(2).to(dtype))


@pytest.mark.parametrize(
    "inputs", [torch.ones(2, 4), (torch.ones(2, 4),), (torch.ones(2, 4), None), {"x": np.ones((2, 4), np.float32)}]
)
def test_example_inputs_in_the_forms_that_people_return(inputs: Any) -> None:
    for source in (open_source(lambda: (Add(), inputs)), open_source(Add(), example_inputs=inputs)):
        assert _dims(source)["x"] == ("batch", 4)
        assert source.signature.input_names == ("x",)
    assert open_source(Add(), example_inputs=inputs).facts.name == "Add"


def test_example_inputs_go_by_the_order_of_parameters() -> None:
    source = open_source(Add(), example_inputs=(torch.ones(2, 4), torch.zeros(2, 4)))
    assert source.signature.input_names == ("x", "y")


def test_example_inputs_that_do_not_fit() -> None:
    with pytest.raises(PackageError, match="gives 3 example inputs without names, but forward's parameters are x, y"):
        open_source(Add(), example_inputs=(torch.ones(2, 4),) * 3)
    with pytest.raises(PackageError, match="the module Add gives no example inputs"):
        open_source(Add())
    with pytest.raises(ConfigError, match="example inputs are only for"):
        open_source("python:json:loads", example_inputs=torch.ones(2, 4))
    with pytest.raises(ConfigError, match="Add is a class, but must be a module"):
        open_source(Add, example_inputs=(torch.ones(2, 4), torch.ones(2, 4)))


def test_example_that_is_not_a_tensor() -> None:
    with pytest.raises(PackageError, match="'x' is not a tensor"):
        _open(Add(), x="text")


def test_function_without_a_name_that_a_package_could_have() -> None:
    assert _open(Add(), x=_rows(2)).facts.name == "model"
    assert open_source(partial(make_cnn)).facts.name == "model"


# Where the function is.


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    return tmp_path / "deep"


def test_file_does_not_replace_a_module_of_its_name(folder: Path) -> None:
    (folder / "json.py").write_text("import torch\n" + LINEAR)
    assert open_source("python:deep/json.py:make").facts.name == "make"
    assert sys.modules["json"] is json


def test_file_imports_what_lies_beside_it(folder: Path) -> None:
    (folder / "beside_one.py").write_text("import torch\n")
    (folder / "beside_two.py").write_text("WIDTH = 4\n")
    (folder / "main.py").write_text(
        "from beside_one import torch\n" + LINEAR.replace("    ", "    import beside_two\n    ")
    )
    path = list(sys.path)
    assert open_source("python:deep/main.py:make").signature.input_names == ("input",)
    assert sys.path == path


def test_function_imports_from_the_current_folder_when_it_runs(folder: Path) -> None:
    (folder.parent / "late_part.py").write_text("import torch\n")
    (folder.parent / "early_part.py").write_text(LINEAR.replace("    ", "    from late_part import torch\n    "))
    assert open_source("python:early_part:make").signature.input_names == ("input",)


@pytest.mark.parametrize("text", ["import no_such_thing\n", "raise RuntimeError('not today')\n", "def (\n"])
def test_file_that_fails_leaves_nothing_behind(text: str, folder: Path) -> None:
    (folder / "broken.py").write_text(text)
    before = (set(sys.modules), list(sys.path))
    with pytest.raises(PackageError, match=r"deep/broken\.py (cannot be imported|failed while it was imported)"):
        open_source("python:deep/broken.py:make")
    assert (set(sys.modules), list(sys.path)) == before


def test_function_or_file_that_ends_the_process(folder: Path) -> None:
    # As scripts do. Silently, and with exit code 0, it would look as if a package had been written.
    (folder / "function.py").write_text("import sys\ndef make(): sys.exit(0)\n")
    (folder / "script.py").write_text("import sys\ndef make(): pass\nsys.exit(make())\n")
    with pytest.raises(PackageError, match=r"function\.py:make failed: SystemExit: 0"):
        open_source("python:deep/function.py:make")
    with pytest.raises(PackageError, match=r"script\.py failed while it was imported: SystemExit"):
        open_source("python:deep/script.py:make")
