"""A model that ONNX Runtime runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy.typing as npt

from inferox.backends.host import HostTensorBuilder
from inferox.backends.onnxruntime.errors import translated
from inferox.core import MemoryRequirements, Model, ModelMetadata, Signature

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class OnnxModel(Model):
    """A session of ONNX Runtime. Calls run one after the other, each on all threads of the session.

    Args:
        name: The name of the package.
        metadata: The facts about it.
        signature: The named tensors that it takes and returns.
        session: The session that computes it.
        weights_bytes: The memory of its weights.
    """

    takes_arrays: ClassVar[bool] = True

    def __init__(
        self, name: str, metadata: ModelMetadata, signature: Signature, session: InferenceSession, *, weights_bytes: int
    ) -> None:
        builder, memory = HostTensorBuilder(metadata.backend), MemoryRequirements(weights_bytes)
        super().__init__(name, metadata, signature, memory, builder=builder, border=translated)
        self._session: InferenceSession | None = session

    def close(self) -> None:
        """Releases the session. A ``forward`` in progress in another thread still completes."""
        self._session = None

    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        session = self._session
        if session is None:
            raise self._closed()
        names = self.layout_signature.output_names
        return dict(zip(names, session.run(names, inputs), strict=True))
