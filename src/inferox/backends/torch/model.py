"""A model that PyTorch runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from inferox.backends.torch.builder import TorchTensorBuilder
from inferox.backends.torch.compute_thread import ComputeThread
from inferox.backends.torch.device import to_torch as to_torch_device
from inferox.backends.torch.dtype import to_torch as to_torch_dtype
from inferox.backends.torch.errors import translated
from inferox.backends.torch.quantization import stored_tensors
from inferox.backends.torch.tensor import TorchTensor
from inferox.core import (
    ExecutionError,
    MemoryRequirements,
    Model,
    ModelMetadata,
    Signature,
    Tensor,
    TensorLike,
    TensorSpec,
)

_CONTRADICTION = "the signature that the package states is not that of its program; pack the model again"


@dataclass(frozen=True)
class Program:
    """The result of loading an artifact.

    Attributes:
        call: Computes named tensors, and returns a tensor, a tuple or list of them, or a mapping by name.
        weights_bytes: The memory of the weights on the device.
        compute_dtype: The type to which floating-point inputs are converted; ``None`` to keep their own.
        storages: The addresses of the memory with which it computes in every call; see ``storages_of``.
    """

    call: Callable[[Mapping[str, torch.Tensor]], Any]
    weights_bytes: int
    compute_dtype: torch.dtype | None = None
    storages: frozenset[int] = frozenset()


class TorchModel(Model):
    """An artifact loaded by PyTorch.

    Inputs that are already on its device are passed on without a copy: a program that modifies its inputs modifies its
    caller's memory, and an output that is an input shares it. An output that is a weight, or a view of one, is copied,
    so that modifying it does not change later answers.

    Args:
        name: The name of the package.
        metadata: The facts about it.
        signature: The named tensors that it takes and returns.
        program: The program that computes it.
        thread: The thread that computes it, which it closes; ``None`` if the callers' threads do, as they do on GPUs.
    """

    def __init__(
        self,
        name: str,
        metadata: ModelMetadata,
        signature: Signature,
        program: Program,
        *,
        thread: ComputeThread | None = None,
    ) -> None:
        self._device, self._torch_builder = to_torch_device(metadata.device), TorchTensorBuilder(metadata.device)
        memory = MemoryRequirements(program.weights_bytes)
        super().__init__(name, metadata, signature, memory, builder=self._torch_builder, border=translated)
        self._program: Program | None = program
        self._thread = thread

    def close(self) -> None:
        """Releases the weights. A ``forward`` in progress in another thread still completes."""
        self._program = None
        if self._thread is not None:
            self._thread.close()
        if self.metadata.device.kind == "cuda":
            # PyTorch would keep the memory for later tensors, unavailable to other processes.
            torch.cuda.empty_cache()

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        program = self._program
        if program is None:
            raise self._closed()
        if self._thread is None:
            return self._call(program, inputs)
        return self._thread.run(lambda: self._call(program, inputs))

    def _call(self, program: Program, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        with torch.inference_mode():
            placed = {
                name: self._place(inputs[name], program.compute_dtype) for name in self.layout_signature.input_names
            }
            # The caller may use the memory of the inputs again, for the next call.
            foreign = program.storages.union(tensor.untyped_storage().data_ptr() for tensor in placed.values())
            returned = name_outputs(program.call(placed), self.layout_signature.output_names)
            return {
                spec.name: _finish(returned[spec.name], spec, program, foreign)
                for spec in self.layout_signature.outputs
            }

    def _place(self, value: TensorLike, compute_dtype: torch.dtype | None) -> torch.Tensor:
        if isinstance(value, np.ndarray) and _is_plain(value):
            tensor = torch.from_numpy(value).to(self._device)
        elif isinstance(value, np.ndarray):
            tensor = self._torch_builder.from_numpy(value).torch()
        elif isinstance(value, TorchTensor):
            tensor = value.to_device(self.metadata.device).torch()
        else:
            tensor = self._torch_builder.from_dlpack(value).torch()
        if compute_dtype is not None and tensor.is_floating_point():
            return tensor.to(compute_dtype)
        return tensor


def _is_plain(array: npt.NDArray[Any]) -> bool:
    """Returns whether PyTorch can share an array's memory."""
    # An axis with one entry may have a negative stride, which PyTorch refuses, and still count as contiguous.
    return array.flags.carray and array.dtype.isbuiltin == 1 and min(array.strides, default=0) >= 0


def _finish(output: torch.Tensor, spec: TensorSpec, program: Program, foreign: frozenset[int]) -> TorchTensor:
    """Gives an output its own memory, and converts one from a lower precision to the type of the signature."""
    stated = to_torch_dtype(spec.dtype)
    if output.dtype is not stated and (program.compute_dtype is None or not output.is_floating_point()):
        found = str(output.dtype).removeprefix("torch.")
        raise ExecutionError(
            f"the model must return {spec.name} as {spec.dtype}, but returned {found}", hint=_CONTRADICTION
        )
    typed = output.to(stated)
    return TorchTensor(typed.clone() if typed.untyped_storage().data_ptr() in foreign else typed)


def storages_of(module: torch.nn.Module, *others: torch.Tensor) -> frozenset[int]:
    """Returns the addresses of the memory with which a module computes in every call.

    Args:
        module: The module, on its device: its parameters, its buffers, and the tensors among its other attributes.
        others: Further tensors that it holds.
    """
    attributes = [value for part in module.modules() for value in vars(part).values()]
    held = [*module.parameters(), *module.buffers(), *others, *attributes]
    stored = [part for tensor in held if isinstance(tensor, torch.Tensor) for part in stored_tensors(tensor)]
    addresses = {tensor.untyped_storage().data_ptr() for tensor in stored}
    return frozenset(addresses - {0})  # the address of tensors without elements, including outputs


def name_outputs(returned: Any, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """Names a program's return values according to a signature.

    Args:
        returned: A tensor, a tuple or list of tensors in the order of the names, or a mapping by name.
        names: The names of the requested outputs.

    Raises:
        ExecutionError: If an output is not among the return values.
    """
    if isinstance(returned, Mapping):
        found = {name: returned[name] for name in names if name in returned}
    else:
        ordered = returned if isinstance(returned, tuple | list) else [returned]
        found = dict(zip(names, ordered, strict=False))
    missing = [name for name in names if not isinstance(found.get(name), torch.Tensor)]
    if missing:
        raise ExecutionError(
            f"the model must return {', '.join(names)}, but does not return {', '.join(missing)}",
            hint=_CONTRADICTION,
        )
    return found
