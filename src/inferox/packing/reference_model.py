"""The adapter through which tasks run the model that is packed."""

from __future__ import annotations

from collections.abc import Mapping

from inferox.backends.registry import get_backend
from inferox.core import (
    DeviceId,
    Layout,
    MemoryRequirements,
    Model,
    ModelMetadata,
    SourceModel,
    Tensor,
    TensorLike,
    to_array,
)


class ReferenceModel(Model):
    """A source model behind the interface of a loaded artifact, so that a task can run on it.

    Args:
        source: The model. It stays open when this object is closed.
    """

    def __init__(self, source: SourceModel) -> None:
        device = DeviceId("cpu")
        metadata = ModelMetadata(source.backend, source.facts.kind, source.precision, Layout.PADDED, device)
        builder = get_backend(source.backend).tensor_builder(device)
        memory = MemoryRequirements(source.size_bytes)
        super().__init__(source.facts.name, metadata, source.signature, memory, builder=builder)
        self._source = source

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        outputs = self._source.compute({name: to_array(value) for name, value in inputs.items()})
        return {name: self._builder.from_numpy(value) for name, value in outputs.items()}

    def close(self) -> None:
        """Frees nothing: the source belongs to the caller."""
