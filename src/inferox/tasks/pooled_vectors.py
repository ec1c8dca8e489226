"""The steps from a model's token vectors to one vector per text: pooling, and the layers after it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import MASK, ManifestError, Outputs, Signature, to_cu_seqlens, unpad
from inferox.parity import Arrays
from inferox.tasks.embed_modules import Normalise, open_module
from inferox.tasks.options import optional, required_list
from inferox.tasks.pooling import POOLING_MODES, pool
from inferox.tasks.signature import find_output, last_extent

_AXES = 3
"""The number of axes of token vectors: [batch, seq, hidden]."""


class PooledVectors:
    """Computes one vector per row from its tokens' vectors.

    Args:
        root: The folder of the package.
        options: ``pooling``, ``modules`` and ``include_prompt``, as ``read_chain`` returns them.
        signature: The model's signature.
        task: The task that reads the vectors, for messages.

    Raises:
        ManifestError: If an option is of the wrong type or value, or the model has no token vectors.
        PackageError: If a file is missing or cannot be read.
    """

    def __init__(self, root: Path, options: Mapping[str, Any], signature: Signature, *, task: str) -> None:
        self._output = find_output(signature, "last_hidden_state", ndim=_AXES, task=task, shape="[batch, seq, hidden]")
        self._pooling = required_list(options, "pooling", str)
        unknown = [mode for mode in self._pooling if mode not in POOLING_MODES]
        if unknown or not self._pooling:
            raise ManifestError(f"'pooling' must list some of {', '.join(POOLING_MODES)}, but is {self._pooling}")
        self._modules = [open_module(module, root) for module in required_list(options, "modules", dict)]
        self.include_prompt = optional(options, "include_prompt", bool) is not False
        self.dimension = last_extent(self._output) * len(self._pooling)
        for module in self._modules:
            self.dimension = module.width(self.dimension)

    @property
    def pooling(self) -> str:
        """The pooling modes, joined by ``+``."""
        return "+".join(self._pooling)

    def unscaled(self) -> PooledVectors:
        """Returns the same without scaling to unit length, if that is the last layer."""
        other = copy(self)
        if self._modules and isinstance(self._modules[-1], Normalise):
            other._modules = self._modules[:-1]  # noqa: SLF001 - a copy of this one
        return other

    def of_tokens(self, outputs: Outputs) -> npt.NDArray[Any]:
        """Returns the model's vectors of all tokens; shape ``[tokens, hidden]``, all rows end to end.

        Args:
            outputs: The model's outputs of a batch.
        """
        return outputs.of_tokens(self._output.name)

    def compute(self, outputs: Outputs, *, skip: int = 0) -> npt.NDArray[np.float32]:
        """Pools each row, and computes the layers.

        Args:
            outputs: The model's outputs of a batch.
            skip: The number of tokens at the front of each row, a prompt's, that are not pooled.

        Returns:
            The vectors; shape ``[rows, dimension]``, float32.
        """
        return self._compute(self.of_tokens(outputs), outputs.cu_seqlens, skip)

    def compute_batch(self, inputs: Arrays, outputs: Arrays, *, skip: int = 0) -> npt.NDArray[np.float32] | None:
        """Does the same for a padded batch.

        Args:
            inputs: The model's inputs by name, each of shape ``[batch, seq]``.
            outputs: The model's outputs by name.
            skip: As for ``compute``.

        Returns:
            The vectors; ``None`` if the token vectors are missing or have another shape.
        """
        mask, ids = inputs.get(MASK), inputs["input_ids"]
        lengths = np.full(len(ids), ids.shape[1]) if mask is None else mask.sum(axis=1, dtype=np.int64)
        whole = outputs.get(self._output.name)
        if whole is None or whole.ndim != _AXES or len(whole) != len(ids) or whole.shape[1] < lengths.max(initial=0):
            return None
        return self._compute(unpad(whole, lengths), to_cu_seqlens(lengths), skip)

    def _compute(
        self, tokens: npt.NDArray[Any], cu_seqlens: npt.NDArray[np.int64], skip: int
    ) -> npt.NDArray[np.float32]:
        if len(cu_seqlens) == 1:
            return np.empty((0, self.dimension), dtype=np.float32)
        vectors = pool(tokens, cu_seqlens, self._pooling, skip=skip)
        for module in self._modules:
            vectors = module(vectors)
        return vectors
