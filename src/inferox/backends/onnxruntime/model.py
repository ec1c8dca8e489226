"""A model that ONNX Runtime runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from inferox.backends.host import HostTensor, HostTensorBuilder
from inferox.backends.onnxruntime.errors import translated
from inferox.core import (
    ExecutionError,
    MemoryRequirements,
    Model,
    ModelMetadata,
    Signature,
    Tensor,
    TensorLike,
    to_array,
)

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class OnnxModel(Model):
    """A session of ONNX Runtime. Calls run one after the other, each on all threads of the session.

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
        builder = HostTensorBuilder(metadata.backend)
        super().__init__(name, metadata, signature, MemoryRequirements(weights_bytes), builder=builder)
        self._session: InferenceSession | None = session

    def close(self) -> None:
        """Lets go of the session. A ``forward`` that is under way in another thread still ends well."""
        self._session = None

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        session = self._session
        if session is None:
            raise self._closed()
        names = self._signature.output_names
        with translated(f"computing {self._name}", default=ExecutionError):
            feeds = {name: to_array(inputs[name]) for name in self._signature.input_names}
            arrays = session.run(names, feeds)
            return {name: HostTensor(array, "onnxruntime") for name, array in zip(names, arrays, strict=True)}
