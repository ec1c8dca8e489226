"""A model: an artifact loaded on a device, ready to compute."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from inferox.core.artifact import Artifact, Layout, Precision, name_artifact
from inferox.core.device import DeviceId
from inferox.core.errors import ExecutionError, InferoxError, UnknownInputError, backend_failure
from inferox.core.spec import Signature
from inferox.core.tensor import Tensor, TensorLike


@dataclass(frozen=True)
class ModelMetadata:
    """What a loaded model is and how it came to be chosen.

    Attributes:
        backend: The backend that runs it.
        format: The format of the artifact.
        precision: The number format in which it computes.
        layout: How it takes rows of different lengths.
        device: Where it runs.
        rejected: For each artifact that was tried or considered first, why it was not taken.
        batch_invariant: Whether a row has the same outputs in any batch as alone, but for rounding; ``None`` where that
            was not measured. Rows of a model that is not are computed one by one, and must not be put into one batch.
    """

    backend: str
    format: str
    precision: Precision
    layout: Layout
    device: DeviceId
    rejected: Mapping[str, str] = field(default_factory=dict)
    batch_invariant: bool | None = None

    @property
    def artifact(self) -> str:
        """The name of the artifact, as ``Artifact.name`` gives it."""
        return name_artifact(self.backend, self.format, self.precision, self.layout)

    @classmethod
    def of(cls, artifact: Artifact, device: DeviceId) -> ModelMetadata:
        """What an artifact is, once it is loaded on a device."""
        return cls(artifact.backend, artifact.format, artifact.precision, artifact.layout, device)


@dataclass(frozen=True)
class MemoryRequirements:
    """The memory that a model needs on its device.

    Attributes:
        weights_bytes: The weights, in the precision in which they are held.
    """

    weights_bytes: int


class Model(ABC):
    """An artifact loaded on a device. Several threads may call ``forward`` at once.

    It is a context manager that closes itself.

    Args:
        name: The name of the package that it comes from.
        metadata: What it is and how it came to be chosen.
        signature: The named tensors that it takes and gives.
        memory: The memory that it needs.
    """

    def __init__(self, name: str, metadata: ModelMetadata, signature: Signature, memory: MemoryRequirements) -> None:
        self._name = name
        self._metadata = metadata
        self._signature = signature
        self._memory = memory

    @property
    def name(self) -> str:
        """The name of the package that it comes from."""
        return self._name

    @property
    def metadata(self) -> ModelMetadata:
        """What it is and how it came to be chosen."""
        return self._metadata

    @property
    def signature(self) -> Signature:
        """The named tensors that it takes and gives."""
        return self._signature

    def memory_requirements(self) -> MemoryRequirements:
        """The memory that it needs."""
        return self._memory

    @property
    def inner(self) -> Model:
        """The model that computes, in its own layout: itself, unless it is a view of another one."""
        return self

    def forward(self, inputs: Mapping[str, TensorLike] | TensorLike) -> dict[str, Tensor]:
        """Computes the outputs.

        Args:
            inputs: The tensors by name, as the signature lists them. A model with a single input also takes that
                tensor alone. NumPy arrays are taken without a copy where the backend allows it.

        Returns:
            The outputs by name, on the model's device. What stands where ``attention_mask`` says padding has no
            meaning, and differs from one artifact to another: the packed ones give zeros there.

        Raises:
            UnknownInputError: If an input is missing or unknown.
            ShapeMismatchError: If a shape is not what the signature says.
            DTypeMismatchError: If a data type is not what the signature says.
            InputTooLongError: If a row is longer than the model takes.
            RequestError: If an index, such as a token's, is out of range.
            OutOfMemoryError: If the device has too little memory.
            ExecutionError: If the runtime fails, or the model is closed.
        """
        checked = self._checked(inputs)
        try:
            return self._compute(checked)
        except InferoxError:
            raise
        except Exception as error:
            raise backend_failure(ExecutionError, self._metadata.backend, f"computing {self._name!r}", error) from error

    def forward_all(
        self,
        calls: Iterable[Mapping[str, TensorLike]],
        count: int,  # noqa: ARG002 - for backends that prepare themselves for many
    ) -> Iterator[dict[str, Tensor]]:
        """Computes many calls within the same thread budget: one after the other, unless a backend has a faster way.

        Args:
            calls: The inputs of each call by name; taken when their turn comes.
            count: How many there are.

        Yields:
            The outputs of each call by name, in order.

        Raises:
            InferoxError: What ``forward`` raises for a call, in the place of its outputs.
        """
        for inputs in calls:
            yield self.forward(inputs)

    @abstractmethod
    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        """Computes the outputs of inputs that are known to fit the signature."""

    @abstractmethod
    def close(self) -> None:
        """Frees what the model holds. Closing twice does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _closed(self) -> ExecutionError:
        """What ``_compute`` raises once the model is closed."""
        return ExecutionError(f"the model {self._name!r} is closed", hint="load it again")

    def _checked(self, inputs: Mapping[str, TensorLike] | TensorLike) -> Mapping[str, TensorLike]:
        named = self._by_name(inputs)
        self.signature.check_inputs(named)
        return named

    def _by_name(self, inputs: Mapping[str, TensorLike] | TensorLike) -> Mapping[str, TensorLike]:
        if isinstance(inputs, Mapping):
            return inputs
        names = self.signature.input_names
        if len(names) != 1:
            raise UnknownInputError(missing=names, unexpected=(), expected=names)
        return {names[0]: inputs}
