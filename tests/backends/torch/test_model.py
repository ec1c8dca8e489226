from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers.modeling_outputs import BaseModelOutput

from inferox.backends.torch.builder import TorchTensorBuilder
from inferox.backends.torch.model import Program, TorchModel, name_outputs
from inferox.backends.torch.tensor import TorchTensor
from inferox.core import (
    DataType,
    DeviceId,
    DTypeMismatchError,
    ExecutionError,
    Layout,
    MemoryRequirements,
    ModelMetadata,
    OutOfMemoryError,
    Precision,
    ShapeMismatchError,
    Signature,
    Tensor,
    TensorSpec,
    UnknownInputError,
)
from tests.backends.torch.artifacts import AFFINE_SIGNATURE, affine_inputs, affine_output, make_affine

METADATA = ModelMetadata("torch", "torchscript", Precision.FP32, Layout.PADDED, DeviceId.cpu())
X = TensorSpec("x", DataType.F32, ("batch", 2))
Y = TensorSpec("y", DataType.F32, ("batch", 2))


def make_model(
    call: Callable[[Mapping[str, torch.Tensor]], Any],
    *,
    outputs: tuple[TensorSpec, ...] = (Y,),
    inputs: tuple[TensorSpec, ...] = (X,),
    compute_dtype: torch.dtype | None = None,
) -> TorchModel:
    return TorchModel("small", METADATA, Signature(inputs, outputs), Program(call, 12, compute_dtype))


def doubling() -> TorchModel:
    return make_model(lambda inputs: inputs["x"] * 2)


def test_it_tells_what_it_is() -> None:
    model = doubling()
    assert model.name == "small"
    assert model.metadata is METADATA
    assert model.signature == Signature((X,), (Y,))
    assert model.memory_requirements() == MemoryRequirements(12)


def test_named_tensors_in_and_out() -> None:
    outputs = doubling().forward({"x": np.ones((3, 2), np.float32)})
    assert list(outputs) == ["y"]
    assert isinstance(outputs["y"], TorchTensor)
    assert outputs["y"].device == DeviceId.cpu()
    np.testing.assert_array_equal(outputs["y"].numpy(), np.full((3, 2), 2))


class ArrayTensor(Tensor):
    """A tensor of another backend, which PyTorch can only import through DLPack."""

    device = DeviceId.cpu()
    to_device = reshape = contiguous = None  # type: ignore[assignment]  # nobody may need them

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> DataType:
        return DataType.from_numpy(self._array.dtype)

    def numpy(self) -> npt.NDArray[Any]:
        raise NotImplementedError

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


@pytest.mark.parametrize(
    "tensor",
    [
        np.ones((1, 2), np.float32),
        TorchTensor(torch.ones(1, 2)),
        ArrayTensor(np.ones((1, 2), np.float32)),
        TorchTensorBuilder(DeviceId.cpu()).ones([1, 2], DataType.F32),
        np.ones((2, 1), np.float32).T,
        np.ones((1, 2), np.float32)[::-1],
        np.broadcast_to(np.float32(1), (1, 2)),
    ],
)
def test_a_single_input_goes_without_its_name(tensor: Any) -> None:
    assert doubling().forward(tensor)["y"].numpy().tolist() == [[2, 2]]


def test_no_rows() -> None:
    assert doubling().forward(np.ones((0, 2), np.float32))["y"].shape == (0, 2)


def test_nan_and_infinities_pass() -> None:
    values = np.array([[np.nan, np.inf], [-np.inf, -0.0]], np.float32)
    found = make_model(lambda inputs: inputs["x"].clone()).forward(values)["y"].numpy()
    np.testing.assert_array_equal(found.view(np.int32), values.view(np.int32))


def test_bad_inputs_are_refused_before_pytorch_sees_them() -> None:
    def never(_: Mapping[str, torch.Tensor]) -> torch.Tensor:
        raise AssertionError

    model = make_model(never)
    with pytest.raises(UnknownInputError):
        model.forward({"z": np.ones((1, 2), np.float32)})
    with pytest.raises(ShapeMismatchError):
        model.forward(np.ones((1, 3), np.float32))
    with pytest.raises(DTypeMismatchError):
        model.forward(np.ones((1, 2)))


@pytest.mark.parametrize(
    "returned",
    [
        (torch.ones(1), torch.zeros(1)),
        [torch.ones(1), torch.zeros(1)],
        {"b": torch.zeros(1), "a": torch.ones(1), "c": None},
        (torch.ones(1), torch.zeros(1), torch.zeros(3)),
    ],
)
def test_outputs_are_named_by_their_place_or_their_name(returned: Any) -> None:
    assert {name: value.tolist() for name, value in name_outputs(returned, ["a", "b"]).items()} == {"a": [1], "b": [0]}


def test_outputs_of_transformers_are_named() -> None:
    states = torch.ones(1)
    found = name_outputs(BaseModelOutput(last_hidden_state=states), ["last_hidden_state"])
    assert found == {"last_hidden_state": states}


@pytest.mark.parametrize("returned", [torch.ones(1), (torch.ones(1),), {"a": torch.ones(1)}, (torch.ones(1), None)])
def test_an_output_that_is_not_returned(returned: Any) -> None:
    with pytest.raises(ExecutionError, match="must return a, b, but does not return b"):
        name_outputs(returned, ["a", "b"])


@pytest.mark.parametrize("returned", [None, 3, "text", ()])
def test_what_is_no_output_at_all(returned: Any) -> None:
    with pytest.raises(ExecutionError, match="does not return y"):
        make_model(lambda _: returned).forward(np.ones((1, 2), np.float32))


def test_a_lower_precision_begins_and_ends_with_a_cast() -> None:
    seen = {}

    def call(inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        seen.update({name: value.dtype for name, value in inputs.items()})
        return inputs["x"] * inputs["n"]

    count = TensorSpec("n", DataType.I64, ("batch", 1))
    model = make_model(call, inputs=(X, count), compute_dtype=torch.bfloat16)
    found = model.forward({"x": np.full((1, 2), 1.001, np.float32), "n": np.full((1, 1), 3)})["y"]
    assert seen == {"x": torch.bfloat16, "n": torch.int64}
    assert found.dtype is DataType.F32
    assert found.numpy().tolist() == [[3, 3]]


def test_no_output_is_cast_otherwise() -> None:
    narrow = make_model(lambda inputs: inputs["x"].half())
    with pytest.raises(ExecutionError, match="must return y as f32, but returned float16"):
        narrow.forward(np.ones((1, 2), np.float32))
    counted = make_model(lambda inputs: inputs["x"].long(), compute_dtype=torch.float16)
    with pytest.raises(ExecutionError, match="must return y as f32, but returned int64"):
        counted.forward(np.ones((1, 2), np.float32))


def test_nothing_is_recorded_for_gradients() -> None:
    weight = torch.nn.Parameter(torch.ones(2))

    def call(inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        output = inputs["x"] * weight
        assert output.is_inference()
        return output

    make_model(call).forward(np.ones((1, 2), np.float32))


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
def test_outputs_do_not_change_with_the_inputs(convert: Callable[[Any], Any]) -> None:
    model = make_model(lambda inputs: inputs["x"][:, ::1])
    given = np.ones((3, 2), np.float32)
    output = model.forward({"x": convert(given)})["y"].numpy()
    given[:] = 5  # as for the next call
    np.testing.assert_array_equal(output, np.ones((3, 2)))


def test_a_failure_inside_is_ours() -> None:
    model = make_model(lambda inputs: inputs["x"] @ inputs["x"])
    with pytest.raises(ExecutionError, match=r"torch failed while computing 'small': .*cannot be multiplied") as caught:
        model.forward(np.ones((3, 2), np.float32))
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(model.forward(np.ones((2, 2), np.float32))["y"].numpy(), np.full((2, 2), 2))


def test_petabytes_inside_are_a_lack_of_memory() -> None:
    with pytest.raises(OutOfMemoryError) as caught:
        make_model(lambda _: torch.empty(2**50)).forward(np.ones((1, 2), np.float32))
    assert caught.value.requested_bytes == 2**52


def _multiply(weight: torch.Tensor, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return inputs["x"] * weight


def test_closing_lets_go_of_the_weights() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    gone = weakref.ref(weight)
    model = make_model(partial(_multiply, weight))
    del weight
    model.close()
    model.close()
    gc.collect()
    with pytest.raises(ExecutionError, match="'small' is closed"):
        model.forward(np.ones((1, 2), np.float32))
    assert gone() is None


def test_it_closes_itself_at_the_end_of_a_with() -> None:
    with doubling() as model:
        model.forward(np.ones((1, 2), np.float32))
    with pytest.raises(ExecutionError, match="closed"):
        model.forward(np.ones((1, 2), np.float32))


def test_eight_threads_get_each_their_own_result() -> None:
    module = make_affine()
    model = make_model(
        lambda inputs: module(**inputs), inputs=AFFINE_SIGNATURE.inputs, outputs=AFFINE_SIGNATURE.outputs
    )
    expected = {rows: affine_output(rows) for rows in range(1, 10)}

    def work(rows: int) -> bool:
        return np.array_equal(model.forward(affine_inputs(rows))["y"].numpy(), expected[rows])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, [1 + index % 9 for index in range(160)]))


def test_closing_while_others_compute_ends_each_call_well_or_in_our_error() -> None:
    model = make_model(lambda inputs: inputs["x"] + torch.ones(300, 300).matmul(torch.ones(300, 300))[0, 0])

    def work(_: int) -> bool:
        try:
            return bool(model.forward(np.ones((1, 2), np.float32))["y"].numpy()[0, 0] == 301)
        except ExecutionError as error:
            return "closed" in str(error)

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(work, index) for index in range(200)]
        model.close()
        assert all(future.result() for future in running)
