"""From the vectors of a model's tokens to one vector per text: pooling, and the layers after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.batching import Outputs, Row
from inferox.core import ManifestError, Signature
from inferox.parity import Arrays
from inferox.tasks.embed_modules import open_module
from inferox.tasks.options import optional, required_list
from inferox.tasks.pooling import POOLING_MODES, pool
from inferox.tasks.signature import find_output, last_extent

_AXES = 3
"""Token vectors have the shape [batch, seq, hidden]."""


class PooledVectors:
    """Makes one vector per row of its tokens' vectors.

    Args:
        root: The folder of the package.
        options: ``pooling``, ``modules`` and ``include_prompt``, as ``read_chain`` gives them.
        signature: What the model takes and gives.
        task: The task that reads the vectors, for messages.

    Raises:
        ManifestError: If an option is of the wrong type or value, or the model gives no token vectors.
        PackageError: If a file is missing or cannot be read.
    """

    def __init__(self, root: Path, options: Mapping[str, Any], signature: Signature, *, task: str) -> None:
        self._output = find_output(signature, "last_hidden_state", ndim=_AXES, task=task, shape="[batch, seq, hidden]")
        self._pooling = required_list(options, "pooling", str)
        unknown = [mode for mode in self._pooling if mode not in POOLING_MODES]
        if unknown or not self._pooling:
            raise ManifestError(f"'pooling' must list some of {', '.join(POOLING_MODES)}, and is {self._pooling}")
        self._modules = [open_module(module, root) for module in required_list(options, "modules", dict)]
        self.include_prompt = optional(options, "include_prompt", bool) is not False
        self.dimension = last_extent(self._output) * len(self._pooling)
        for module in self._modules:
            self.dimension = module.width(self.dimension)

    def compute(self, rows: Sequence[Row], outputs: Sequence[Outputs], *, skip: int = 0) -> npt.NDArray[np.float32]:
        """Pools each row, and computes the layers.

        Args:
            rows: The rows; only how many tokens they have counts.
            outputs: The model's outputs for each row, without the batch dim.
            skip: How many tokens at the front of each row, a prompt's, are not pooled.

        Returns:
            The vectors; shape ``[n, dimension]``, float32.
        """
        if not rows:
            return np.empty((0, self.dimension), dtype=np.float32)
        # A model with a fixed length gives vectors for the padding too.
        tokens = (output[self._output.name][: len(row["input_ids"])] for row, output in zip(rows, outputs, strict=True))
        vectors = np.stack([pool(item, self._pooling, skip=skip) for item in tokens])
        for module in self._modules:
            vectors = module(vectors)
        return vectors

    def compute_batch(self, inputs: Arrays, outputs: Arrays, *, skip: int = 0) -> npt.NDArray[np.float32] | None:
        """Does the same with a padded batch.

        Args:
            inputs: The model's inputs by name, each of shape ``[batch, seq]``.
            outputs: The model's outputs by name.
            skip: As for ``compute``.

        Returns:
            The vectors; ``None`` where the token vectors are missing or of another shape.
        """
        mask, ids = inputs.get("attention_mask"), inputs["input_ids"]
        lengths = [ids.shape[1]] * len(ids) if mask is None else mask.sum(axis=1)
        rows = [{"input_ids": row[:length]} for row, length in zip(ids, lengths, strict=True)]
        whole = outputs.get(self._output.name)
        if whole is None or whole.ndim != _AXES or len(whole) != len(rows):
            return None
        return self.compute(rows, [{self._output.name: tokens} for tokens in whole], skip=skip)
