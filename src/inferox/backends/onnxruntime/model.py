"""A model that ONNX Runtime runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from inferox.backends.onnxruntime.errors import translated
from inferox.backends.onnxruntime.tensor import OnnxTensor
from inferox.core import (
    DataType,
    ExecutionError,
    MemoryRequirements,
    Model,
    ModelMetadata,
    Signature,
    Tensor,
    TensorLike,
)

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class OnnxModel(Model):
    """A session of ONNX Runtime. It runs several calls at once.

    Args:
        name: The name of the package.
        metadata: What it is.
        signature: The named tensors that it takes and gives.
        session: What computes it.
        weights_bytes: The memory that its weights take.
    """

    def __init__(
        self, name: str, metadata: ModelMetadata, signature: Signature, session: InferenceSession, *, weights_bytes: int
    ) -> None:
        self._name = name
        self._metadata = metadata
        self._signature = signature
        self._session: InferenceSession | None = session
        self._memory = MemoryRequirements(weights_bytes)

    @property
    def name(self) -> str:
        """The name of the package."""
        return self._name

    @property
    def metadata(self) -> ModelMetadata:
        """What it is."""
        return self._metadata

    @property
    def signature(self) -> Signature:
        """The named tensors that it takes and gives."""
        return self._signature

    def memory_requirements(self) -> MemoryRequirements:
        """The memory that its weights take."""
        return self._memory

    def close(self) -> None:
        """Lets go of the session. A ``forward`` that is under way in another thread still ends well."""
        self._session = None

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        session = self._session
        if session is None:
            raise ExecutionError(f"the model {self._name!r} is closed", hint="load it again")
        names = self._signature.output_names
        with translated(f"computing {self._name}", default=ExecutionError):
            feeds = {name: _to_array(inputs[name]) for name in self._signature.input_names}
            return {name: OnnxTensor(array) for name, array in zip(names, session.run(names, feeds), strict=True)}


def _to_array(value: TensorLike) -> npt.NDArray[Any]:
    if isinstance(value, np.ndarray):
        return value
    return value.numpy() if value.dtype is not DataType.BF16 else np.from_dlpack(value)
