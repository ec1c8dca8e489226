"""A loaded artifact as callers see it: behind the padded signature of its package, whatever layout it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from inferox.batching.packed import empty_outputs, pack_batch, unpack_batch
from inferox.core import PAD_INDICES, Backend, Layout, Model, Signature, Tensor, TensorLike, to_array


class PaddedView(Model):
    """A loaded artifact behind the padded signature of its package.

    Args:
        inner: The loaded artifact; it is closed with this model.
        signature: The padded signature of the package.
        backend: The artifact's backend. It makes the tensors in which the answers of a packed artifact are laid out as
            a padded batch, on the device on which the artifact runs.
        batch_invariant: Whether the artifact gives a row the same outputs in any batch; ``None`` where that was not
            measured.
    """

    def __init__(
        self, inner: Model, signature: Signature, backend: Backend, *, batch_invariant: bool | None = None
    ) -> None:
        metadata = replace(inner.metadata, batch_invariant=batch_invariant)
        super().__init__(inner.name, metadata, signature, inner.memory_requirements())
        self._inner = inner
        self._backend = backend

    @property
    def inner(self) -> Model:
        """The loaded artifact, in its own layout."""
        return self._inner

    def close(self) -> None:
        """Closes the artifact."""
        self._inner.close()

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        if self._inner.metadata.layout is Layout.PADDED:
            return self._inner.forward(inputs)
        arrays = {name: to_array(value) for name, value in inputs.items()}
        rows = next(iter(arrays.values())).shape[0]
        padded = self._compute_packed(arrays) if rows else empty_outputs(arrays, self.signature)
        builder = self._backend.tensor_builder(self.metadata.device)
        return {name: builder.from_numpy(value) for name, value in padded.items()}

    def _compute_packed(self, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        packed = pack_batch(arrays, self._inner.signature)
        outputs = {name: value.numpy() for name, value in self._inner.forward(packed).items()}
        return unpack_batch(outputs, self._inner.signature, packed[PAD_INDICES])
