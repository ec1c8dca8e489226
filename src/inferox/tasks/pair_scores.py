"""The sources of pair scores before the activation: a classifier's logit, or layers after pooling."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from inferox.core import BATCH, DataType, ManifestError, Outputs, Signature, TensorSpec
from inferox.parity import Arrays, ParityTarget
from inferox.tasks.pooled_vectors import PooledVectors
from inferox.tasks.signature import find_output, last_extent


class PairScores(ABC):
    """The source of pair scores before the activation."""

    @abstractmethod
    def compute(self, outputs: Outputs) -> npt.NDArray[np.float32]:
        """Computes the scores of rows.

        Args:
            outputs: The model's outputs of a batch.

        Returns:
            One score per row; shape ``[rows]``, float32.
        """

    @abstractmethod
    def skipping(self, prompt_tokens: int) -> PairScores:
        """Returns the same source for pairs with a prompt before them.

        Args:
            prompt_tokens: The number of prompt tokens at the front of each row.
        """

    @abstractmethod
    def parity_target(self) -> ParityTarget:
        """Returns the part of the model's outputs that is compared between runtimes."""


class LogitScores(PairScores):
    """The single logit of a classifier.

    Args:
        signature: The model's signature.
        task: The task that reads the scores, for messages.

    Raises:
        ManifestError: If the model does not have one logit per pair.
    """

    def __init__(self, signature: Signature, task: str) -> None:
        self._logits = find_output(signature, "logits", ndim=2, task=task, shape="[batch, 1]")
        if last_extent(self._logits) != 1:
            raise ManifestError(f"the task rerank reads one score per pair, but the model gives {self._logits}")

    def compute(self, outputs: Outputs) -> npt.NDArray[np.float32]:
        """See ``PairScores``."""
        return outputs.of_rows(self._logits.name)[:, 0].astype(np.float32)

    def skipping(self, prompt_tokens: int) -> LogitScores:  # noqa: ARG002 - nothing is pooled
        """See ``PairScores``."""
        return self

    def parity_target(self) -> ParityTarget:
        """See ``PairScores``."""
        return ParityTarget.of_outputs((self._logits,), ranks=True)


class PooledScores(PairScores):
    """The single number that pooling and the layers after it compute from a pair's token vectors.

    Args:
        vectors: Pooling and the layers after it.
        prompt_tokens: The number of prompt tokens at the front of each row. They are pooled if the layers say so.

    Raises:
        ManifestError: If they give more than one number per pair.
    """

    def __init__(self, vectors: PooledVectors, prompt_tokens: int) -> None:
        if vectors.dimension != 1:
            raise ManifestError(
                f"the task rerank reads one score per pair, but the layers after pooling give {vectors.dimension}"
            )
        self._vectors, self._skip = vectors, 0 if vectors.include_prompt else prompt_tokens

    def compute(self, outputs: Outputs) -> npt.NDArray[np.float32]:
        """See ``PairScores``."""
        return self._vectors.compute(outputs, skip=self._skip)[:, 0]

    def skipping(self, prompt_tokens: int) -> PooledScores:
        """See ``PairScores``."""
        return PooledScores(self._vectors, prompt_tokens)

    def parity_target(self) -> ParityTarget:
        """See ``PairScores``."""

        def read(inputs: Arrays, outputs: Arrays) -> Arrays:
            scores = self._vectors.compute_batch(inputs, outputs, skip=self._skip)
            return {} if scores is None else {"scores": scores}

        return ParityTarget((TensorSpec("scores", DataType.F32, (BATCH, 1)),), read, ranks=True)
