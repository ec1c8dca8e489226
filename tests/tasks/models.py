"""Models that the tests of tasks run: modules of transformers, and functions of NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from inferox.backends.host import HostTensorBuilder
from inferox.core import (
    BATCH,
    SEQUENCE,
    DataType,
    DeviceId,
    Layout,
    MemoryRequirements,
    Model,
    ModelMetadata,
    Precision,
    Signature,
    Tensor,
    TensorLike,
    TensorSpec,
    to_array,
)


class ArrayTensor(Tensor):
    """A NumPy array behind the tensor contract, as far as tasks use it."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> DataType:
        return DataType.from_numpy(self._array.dtype)

    @property
    def device(self) -> DeviceId:
        return DeviceId.cpu()

    def to_device(self, device: DeviceId) -> Tensor:
        raise NotImplementedError

    def reshape(self, shape: Any) -> Tensor:
        return ArrayTensor(self._array.reshape(shape))

    def contiguous(self) -> Tensor:
        return ArrayTensor(np.ascontiguousarray(self._array))

    def numpy(self) -> npt.NDArray[Any]:
        return self._array


class FunctionModel(Model):
    """A model that computes with a Python function, and records the shapes of its calls."""

    def __init__(
        self,
        signature: Signature,
        compute: Callable[[dict[str, npt.NDArray[Any]]], dict[str, npt.NDArray[Any]]],
        layout: Layout = Layout.PADDED,
        *,
        max_concurrency: int = 1,
    ) -> None:
        metadata = ModelMetadata("numpy", "function", Precision.FP32, layout, DeviceId.cpu())
        super().__init__(
            "function",
            metadata,
            signature,
            MemoryRequirements(0),
            builder=HostTensorBuilder("numpy"),
            max_concurrency=max_concurrency,
        )
        self._function = compute
        self.shapes: list[tuple[int, ...]] = []

    def close(self) -> None:
        pass

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        arrays = {name: to_array(value) for name, value in inputs.items()}
        self.shapes.append(next(iter(arrays.values())).shape)
        return {name: ArrayTensor(value) for name, value in self._function(arrays).items()}


TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def text_signature(
    *outputs: TensorSpec, inputs: tuple[str, ...] = TEXT_INPUTS, dims: tuple[int | str, ...] = (BATCH, SEQUENCE)
) -> Signature:
    """Makes the signature of a text model."""
    return Signature(tuple(TensorSpec(name, DataType.I64, dims) for name in inputs), outputs)


def token_vectors(hidden: int) -> TensorSpec:
    return TensorSpec("last_hidden_state", DataType.F32, (BATCH, SEQUENCE, hidden))


def token_logits(labels: int) -> TensorSpec:
    return TensorSpec("logits", DataType.F32, (BATCH, SEQUENCE, labels))


def logits(labels: int | str) -> TensorSpec:
    return TensorSpec("logits", DataType.F32, (BATCH, labels))


def torch_model(module: torch.nn.Module, signature: Signature) -> FunctionModel:
    """Wraps a module of transformers behind the model contract."""
    module.eval()

    def compute(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        with torch.inference_mode():
            outputs = module(**{name: torch.from_numpy(array) for name, array in arrays.items()})
        return {name: outputs[name].numpy() for name in signature.output_names}

    return FunctionModel(signature, compute)
