"""The extents that vary, stated as ``torch.export.export`` takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.export import Dim

import inferox
from inferox.core import ConfigError, InputTooLongError, PackageError
from inferox.sources import open_source


class Mean(torch.nn.Module):
    """The mean of steps, with or without a weight for each."""

    def forward(self, steps: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        return (steps if weights is None else steps * weights[..., None]).mean(dim=1)


class Fixed(torch.nn.Module):
    """A module that takes six steps and no other number."""

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        return steps.reshape(len(steps), 6 * 3).sum(dim=1)


STEPS, WEIGHTS = torch.arange(36.0).reshape(2, 6, 3), torch.linspace(0, 1, 12).reshape(2, 6)
BATCH, TIME = Dim("batch"), Dim("time", max=8)


def _inputs(shapes: Any, *, module: torch.nn.Module | None = None, examples: Any = None) -> dict[str, Any]:
    given = {"steps": STEPS, "weights": WEIGHTS} if examples is None else examples
    source = open_source(module or Mean(), example_inputs=given, dynamic_shapes=shapes)
    return {spec.name: spec.dims for spec in source.signature.inputs}


@pytest.mark.parametrize(
    "shapes",
    [
        {"steps": {0: BATCH, 1: TIME}, "weights": {0: BATCH, 1: TIME}},
        {"weights": (BATCH, TIME), "steps": [BATCH, TIME, None]},
        ({0: BATCH, 1: TIME, 2: 3}, (BATCH, TIME)),
        [(BATCH, TIME, Dim.STATIC), {0: BATCH, 1: TIME}],
    ],
)
def test_dims_in_the_forms_of_torch_export(shapes: Any) -> None:
    torch.export.export(Mean(), (STEPS, WEIGHTS), dynamic_shapes=shapes)  # which takes them too
    assert _inputs(shapes) == {"steps": ("batch", "time", 3), "weights": ("batch", "time")}


def test_what_is_not_named_is_fixed() -> None:
    assert _inputs({"steps": None, "weights": None}) == {"steps": (2, 6, 3), "weights": (2, 6)}
    assert _inputs({"steps": {1: TIME}, "weights": {1: TIME}})["steps"] == (2, "time", 3)


def test_dims_without_a_name_are_measured() -> None:
    automatic = (Dim.AUTO, Dim.AUTO, None), (Dim.AUTO, Dim.DYNAMIC)
    assert _inputs(automatic) == {"steps": ("batch", "steps_1", 3), "weights": ("batch", "steps_1")}
    six: dict[str, Any] = {"examples": STEPS, "module": Fixed()}
    assert _inputs({"steps": {0: BATCH, 1: Dim.AUTO}}, **six)["steps"] == ("batch", 6, 3)
    with pytest.raises(PackageError, match=r"axis 1 of 'steps' is Dim\.DYNAMIC, but the module takes no other"):
        _inputs({"steps": {0: BATCH, 1: Dim.DYNAMIC}}, **six)
    with pytest.raises(PackageError, match="the model fails when time is not 6"):
        _inputs({"steps": {0: BATCH, 1: TIME}}, **six)


def test_an_input_that_is_left_out_may_have_an_entry() -> None:
    for shapes in (({0: BATCH}, None), {"steps": {0: BATCH}, "weights": None}):
        assert _inputs(shapes, examples=(STEPS, None)) == {"steps": ("batch", 6, 3)}


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"steps": {0: BATCH}}, "does not mention 'weights'"),
        ({"steps": None, "weights": None, "others": {0: BATCH}}, "names 'others', but the module is given steps, wei"),
        (({0: BATCH},), "has 1 entry, but the module is given steps, weights"),
        ("steps", "must be a dict or a tuple, but is a str"),
        ({"steps": 3, "weights": None}, "of 'steps' must be a dict by axis or a sequence, but is a int"),
        ({"steps": (BATCH,), "weights": None}, "of 'steps' has 1 entry, but its example has 3 axes"),
        ({"steps": {3: BATCH}, "weights": None}, "of 'steps' names the axis 3, but its example has 3 axes"),
        ({"steps": {1: 7}, "weights": None}, "axis 1 of 'steps' is stated to be 7, but is 6 in its example"),
        ({"steps": {1: "time"}, "weights": None}, "axis 1 of 'steps' is 'time', which is not a torch.export.Dim"),
        ({"steps": {1: 2 * BATCH}, "weights": None}, r"axis 1 of 'steps' is 2\*batch, which depends on another dim"),
        ({"steps": {1: Dim("time", min=4)}, "weights": None}, "axis 1 of 'steps' is time, which must be 4 or more"),
        ({"steps": {1: Dim("time", max=5)}, "weights": None}, "which is 5 at most, but its example has 6"),
        ({"steps": {1: TIME}, "weights": {1: Dim("time", max=9)}}, "time is 8 at most in one place, and 9 in another"),
        ({"steps": {1: Dim.AUTO(max=8)}, "weights": None}, "axis 1 of 'steps' has a range without a name"),
    ],
)
def test_what_a_package_cannot_state_is_refused_by_name(shapes: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _inputs(shapes)


@pytest.mark.parametrize(
    ("shapes", "hint"),
    [
        ("batch", r"\{'steps': \{0: torch\.export\.Dim\('batch'\)\}, 'weights': None\}, as torch\.export\.export"),
        (
            ({0: BATCH},),
            r"\{'steps': \{0: torch\.export\.Dim\('batch'\)\}, 'weights': None\}, as torch\.export\.export",
        ),
        ({"steps": "batch", "weights": None}, r"\{0: torch\.export\.Dim\('batch'\)\}"),
        ({"steps": None, "weights": "batch"}, "None"),
        ({"steps": ("batch", "time", None), "weights": None}, r"torch\.export\.Dim\('batch'\)"),
        ({"steps": {1: "time of day"}, "weights": None}, r"torch\.export\.Dim\('steps_1'\)"),
        ({"steps": {1: 2.0}, "weights": None}, r"torch\.export\.Dim\('steps_1'\)"),
    ],
)
def test_hints_name_the_inputs_of_the_module(shapes: Any, hint: str) -> None:
    with pytest.raises(ConfigError, match=rf"\(write {hint}"):
        _inputs(shapes, examples={"steps": STEPS, "weights": torch.tensor(1.0)})


def test_what_has_no_dynamic_shapes() -> None:
    with pytest.raises(ConfigError, match="dims and dynamic_shapes say the same thing"):
        open_source(Mean(), example_inputs=STEPS, dims={"steps": ["batch", 6, 3]}, dynamic_shapes={"steps": None})
    with pytest.raises(ConfigError, match="dynamic_shapes are only for"):
        open_source("model.pt", dynamic_shapes={"x": None})


def test_a_function_returns_them_beside_its_inputs() -> None:
    shapes = {"steps": {0: BATCH, 1: TIME}}

    def make() -> Any:
        return Mean(), STEPS, shapes

    assert open_source(make).signature.inputs[0].dims == ("batch", "time", 3)
    assert open_source(make, dims={"steps": ["batch", 6, 3]}).signature.inputs[0].dims == ("batch", 6, 3)
    assert open_source(make, dynamic_shapes=(None,)).signature.inputs[0].dims == (2, 6, 3)
    with pytest.raises(PackageError, match="its dynamic_shapes, but returned a tuple of Mean, Tensor, dict, int"):
        open_source(lambda: (*make(), 4))


def test_every_runtime_keeps_to_the_largest_extent(tmp_path: Path) -> None:
    few = Dim("batch", max=4)
    shapes = ({0: few, 1: TIME}, {0: few, 1: TIME})
    inferox.pack(
        Mean(),
        tmp_path / "package",
        backends=["torch", "onnxruntime"],
        example_inputs=(STEPS, WEIGHTS),
        dynamic_shapes=shapes,
    )
    for backend in ("torch", "onnxruntime"):
        with inferox.load(tmp_path / "package", backend, trust_code=True) as model:
            assert (model.signature.limits, model.model.limits.rows) == ({"batch": 4, "time": 8}, 4)
            call = {"steps": np.ones((4, 8, 3), np.float32), "weights": np.full((4, 8), 0.5, np.float32)}
            np.testing.assert_allclose(np.asarray(model.forward(call)["output"]), np.full((4, 3), 0.5), rtol=1e-6)
            assert len(model.run([{name: value[:3] for name, value in call.items()}] * 3)) == 3  # no batch of nine
            with pytest.raises(InputTooLongError, match="9 places along time, but the model takes 8"):
                model.forward({"steps": np.ones((1, 9, 3), np.float32), "weights": np.ones((1, 9), np.float32)})
