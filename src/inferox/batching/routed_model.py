"""One model of several artifacts: each batch goes to the one that is best for it, in the layout that it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from inferox.batching.packed import empty_outputs, pack_batch, unpack_batch
from inferox.core import (
    GRID,
    Backend,
    Layout,
    MemoryRequirements,
    Model,
    Signature,
    Tensor,
    TensorLike,
    to_array,
)

Choice = Callable[[int, int], int]
"""Which of several models computes a batch best: from the number of rows and the longest row's length, its index."""


class RoutedModel(Model):
    """Loaded artifacts of one package, behind its padded signature.

    Args:
        models: The loaded artifacts, at least one; they are closed with this model.
        signature: The padded signature of the package.
        backend: Finds a backend by its name: it makes the tensors that a packed artifact's answers are laid out in as a
            padded batch, on the device on which the artifact runs.
        choose: Which of the models computes a batch.
        batch_invariant: Whether each of them gives a row the same outputs in any batch; ``None`` where that was not
            measured.
    """

    def __init__(
        self,
        models: Sequence[Model],
        signature: Signature,
        backend: Callable[[str], Backend],
        *,
        choose: Choice = lambda _rows, _longest: 0,
        batch_invariant: bool | None = None,
    ) -> None:
        needed = sum(model.memory_requirements().weights_bytes for model in models)
        others = tuple(model.metadata.artifact for model in models[1:])
        metadata = replace(models[0].metadata, shared_with=others, batch_invariant=batch_invariant)
        super().__init__(models[0].name, metadata, signature, MemoryRequirements(needed))
        self._models = tuple(models)
        self._backend = backend
        self._choose = choose

    def for_batch(self, rows: int, longest: int) -> Model:
        """The artifact that computes such a batch; see ``Model``."""
        return self._models[self._choose(rows, longest)]

    def close(self) -> None:
        """Closes every artifact."""
        for model in self._models:
            model.close()

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        shape = next(iter(inputs.values())).shape
        model = self.for_batch(shape[0] if shape else 1, shape[1] if len(shape) > 1 else 1)
        if model.metadata.layout is Layout.PADDED:
            return model.forward(inputs)
        arrays = {name: to_array(value) for name, value in inputs.items()}
        padded = self._compute_packed(model, arrays) if shape[0] else empty_outputs(arrays, self.signature)
        builder = self._backend(model.metadata.backend).tensor_builder(model.metadata.device)
        return {name: builder.from_numpy(value) for name, value in padded.items()}

    @staticmethod
    def _compute_packed(model: Model, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        packed = pack_batch(arrays, model.signature)
        outputs = {name: value.numpy() for name, value in model.forward(packed).items()}
        return unpack_batch(outputs, model.signature, packed[GRID])
