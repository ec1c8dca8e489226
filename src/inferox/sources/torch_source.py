"""A source model in PyTorch, whatever it was loaded from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from inferox.backends.torch.dtype import from_torch
from inferox.backends.torch.errors import translated
from inferox.core import (
    DataType,
    ExecutionError,
    PackageError,
    Signature,
    SourceFacts,
    SourceModel,
    TensorSpec,
    UnsupportedDTypeError,
)
from inferox.sources.measure import measure_signature
from inferox.sources.torch_indices import watched_indices

Call = Callable[[Any, Mapping[str, torch.Tensor]], Any]
"""A function that calls a module with named tensors, in the way that its kind requires."""


_MADE_UP_EXAMPLES = "they were made up here; give real ones by packing a function: python:module:factory"


@dataclass(frozen=True)
class Examples:
    """Inputs on which a model is tried.

    Attributes:
        tensors: An example of each input by name, on the CPU.
        specs: The specification of each input, in the order in which the model takes them.
        assumed: Dims that nobody stated: if the model takes no other extent, they become fixed.
        came_with_model: Whether they are samples of its use; otherwise only their shapes are meaningful.
    """

    tensors: Mapping[str, torch.Tensor]
    specs: tuple[TensorSpec, ...]
    assumed: frozenset[str] = frozenset()
    came_with_model: bool = True


class TorchSource(SourceModel):
    """A model that PyTorch computes on the CPU. Opening one runs it to find its outputs.

    Args:
        facts: The facts about the model.
        module: The module, on the CPU and in evaluation mode.
        examples: Inputs to try it on.
        call: Calls the module with named tensors.
        has_weights: Whether its weights can be stored apart from it.
        outputs: The only outputs to keep, if it has them; ``None`` for all.
        limits: The largest extent of each named dim that has a limit.
        holds: An object that must live as long as the source, such as a temporary folder.

    Raises:
        PackageError: If the model fails on the examples, or returns something other than tensors.
        UnsupportedDTypeError: If an output has a data type that NumPy lacks.
    """

    def __init__(
        self,
        facts: SourceFacts,
        module: torch.nn.Module,
        examples: Examples,
        *,
        call: Call,
        has_weights: bool,
        outputs: Sequence[str] | None = None,
        limits: Mapping[str, int] | None = None,
        holds: Any = None,
    ) -> None:
        self._facts = facts
        self._module = module
        self._call = call
        self._has_weights = has_weights
        self._kept_outputs = outputs
        self._holds = holds
        arrays = {name: value.numpy() for name, value in examples.tensors.items()}
        self._examples = arrays if examples.came_with_model else None
        made_up = {} if examples.came_with_model else {"hint": _MADE_UP_EXAMPLES}
        self._index_bounds: dict[str, int] = {}
        measured = measure_signature(self._try, examples.specs, arrays, assumed=examples.assumed, **made_up)
        inputs = tuple(
            replace(spec, upper_bound=self._index_bounds.get(spec.name)) if spec.upper_bound is None else spec
            for spec in measured.inputs
        )
        self._signature = replace(measured, inputs=inputs, limits=limits or {})

    @property
    def facts(self) -> SourceFacts:
        """The facts about the model."""
        return self._facts

    @property
    def signature(self) -> Signature:
        """The named tensors that it takes and returns."""
        return self._signature

    @property
    def module(self) -> torch.nn.Module:
        """The module, on the CPU and in evaluation mode."""
        return self._module

    @property
    def example_inputs(self) -> Mapping[str, npt.NDArray[Any]] | None:
        """Inputs that came with the model, by name."""
        return self._examples

    @property
    def num_parameters(self) -> int:
        """The number of parameters; shared ones are counted once."""
        return sum({_memory(value): value.numel() for value in self._module.parameters()}.values())

    def compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Computes the reference outputs; see ``SourceModel``.

        Raises:
            RequestError: If the inputs do not fit the signature.
            ExecutionError: If the model fails.
            OutOfMemoryError: If the machine does not have enough memory.
        """
        self._signature.check_inputs(inputs)
        # torch.tensor copies, so that the model can neither change the caller's arrays nor return them.
        outputs = self._run({name: torch.tensor(inputs[name]) for name in self._signature.input_names})
        return {name: value.numpy() for name, value in outputs.items()}

    def save_weights(self, path: Path) -> bool:
        """Writes the weights, with shared ones only once; see ``SourceModel``.

        Weights that share memory under several names are written under the first one; the file's metadata maps the
        others to it, as safetensors' own ``save_model`` does.

        Raises:
            PackageError: If the file cannot be written, as when the disk is full.
        """
        state = self._module.state_dict() if self._has_weights else {}
        if not state:
            return False
        first: dict[tuple[Any, ...], str] = {}
        aliases: dict[str, str] = {}
        for name, value in state.items():
            kept = first.setdefault(_memory(value), name)
            if kept != name:
                aliases[name] = kept
        weights = {name: _alone(state[name]) for name in first.values()}
        try:
            save_file(weights, path, metadata={"format": "pt", **aliases})
        except (OSError, SafetensorError) as error:
            raise PackageError(f"the weights cannot be written to {path}: {error}") from error
        return True

    def _try(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        # torch.tensor copies, as a module may write into its inputs, and these are used again.
        tensors = {name: torch.tensor(value) for name, value in inputs.items()}
        with watched_indices(tensors, self._index_bounds):
            outputs = self._run(tensors)
        for value in outputs.values():
            data_type(value)
        return {name: value.numpy() for name, value in outputs.items()}

    def _run(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        with torch.inference_mode(), translated(f"computing {self._facts.name}", default=ExecutionError):
            outputs = name_outputs(self._call(self._module, inputs))
        wanted = [name for name in self._kept_outputs or () if name in outputs] or list(outputs)
        # A parameter that is an output requires gradients even here, and NumPy lacks PyTorch's lazy negation.
        return {name: outputs[name].detach().cpu().resolve_neg() for name in wanted}


def data_type(tensor: torch.Tensor) -> DataType:
    """Returns the data type of a tensor that is to be converted to an array.

    Raises:
        UnsupportedDTypeError: If Inferox or NumPy lacks it.
    """
    dtype = from_torch(tensor.dtype)
    if dtype is DataType.BF16:
        raise UnsupportedDTypeError(
            dtype,
            "the reference, which computes in fp32,",
            [known for known in DataType if known is not DataType.BF16],
            hint="call .float() on the model and its inputs",
        )
    return dtype


def name_outputs(value: Any) -> dict[str, torch.Tensor]:
    """Names the outputs of a module.

    A tensor is named ``output``; the tensors of tuples and lists are ``output_0``, ``output_1`` and so on; those of a
    mapping keep their names, and its other values are ignored.

    Raises:
        PackageError: If the value contains no tensor, or a tuple contains anything but tensors.
    """
    if isinstance(value, torch.Tensor):
        return {"output": value}
    if isinstance(value, Mapping):
        named = {str(name): item for name, item in value.items() if isinstance(item, torch.Tensor)}
    elif isinstance(value, tuple | list) and all(isinstance(item, torch.Tensor) for item in value):
        named = {f"output_{index}": item for index, item in enumerate(value)}
    else:
        named = {}
    if not named:
        raise PackageError(
            f"the model returns {_describe(value)}, but must return a tensor, a tuple of tensors, or tensors by name",
            hint="return the tensors of a nested structure side by side",
        )
    return named


def _describe(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {', '.join(type(item).__name__ for item in value) or 'nothing'}"
    return f"a value of the type {type(value).__name__}"


def _memory(value: torch.Tensor) -> tuple[Any, ...]:
    """Returns a key that two tensors share exactly if they are the same elements in memory. Empty tensors never do."""
    if value.numel() == 0:
        return (id(value),)
    return value.data_ptr(), value.dtype, tuple(value.shape), value.stride()


def _alone(value: torch.Tensor) -> torch.Tensor:
    """Returns the tensor in memory of its own, in row-major order: itself if it is so already."""
    whole = value.untyped_storage().nbytes() == value.numel() * value.element_size()
    return value.contiguous() if whole else value.clone(memory_format=torch.contiguous_format)
