"""The task ``rerank``: pairs of a query and a document to scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from inferox.core import Batch, ManifestError, Outputs, Signature
from inferox.parity import ParityTarget
from inferox.tasks.activation import ACTIVATIONS
from inferox.tasks.calibration_texts import calibration_pairs
from inferox.tasks.options import optional, required
from inferox.tasks.pair_scores import LogitScores, PairScores, PooledScores
from inferox.tasks.pooled_vectors import PooledVectors
from inferox.tasks.text_samples import sample_pairs
from inferox.tasks.text_task import TextTask
from inferox.tasks.texts import check_pairs


class RerankTask(TextTask):
    """Scores the relevance of a document to a query, reading both together.

    Items are pairs of a query and a document. Results are scores: higher is better. A score comes from a classifier's
    head, or from pooling an encoder's token vectors and the layers after it.

    Args:
        root: The folder of the package.
        options: ``activation`` and ``prompt``, for an encoder also ``pooling``, ``modules`` and ``include_prompt``, as
            ``read_rerank_files`` returns them; and those of the tokenizer.
        signature: The model's signature.

    Attributes:
        activation: The activation function of the scores: a name from ``ACTIVATIONS``.

    Raises:
        ManifestError: If an option is missing or wrong, or the model does not give one score per pair.
        PackageError: If a file is missing or cannot be read.
    """

    name: ClassVar[str] = "rerank"
    reads_items: ClassVar[bool] = False

    def __init__(self, root: Path, options: Mapping[str, Any], signature: Signature) -> None:
        super().__init__(root, options, signature)
        activation = required(options, "activation", str)
        if activation not in ACTIVATIONS:
            raise ManifestError(f"'activation' must be one of {', '.join(ACTIVATIONS)}, but is {activation!r}")
        self.activation = activation
        self._prompt = optional(options, "prompt", str) or ""
        self._scores: PairScores = (
            self._open_head(root, options, signature) if "pooling" in options else LogitScores(signature, self.name)
        )

    def encode(self, items: Sequence[tuple[str, str]]) -> Batch:
        """Encodes each pair as a row; see ``Task``. An empty text is allowed."""
        return self._tokenizer.encode(items, check=check_pairs, prompt=self._prompt)

    def decode(
        self,
        items: Sequence[tuple[str, str]],  # noqa: ARG002 - a score depends on the tokens alone
        batch: Batch,  # noqa: ARG002
        outputs: Outputs,
    ) -> list[float]:
        """Scores each pair; see ``Task``."""
        scores: list[float] = ACTIVATIONS[self.activation](self.logits(outputs)).tolist()
        return scores

    def unscaled(self) -> RerankTask:
        """Returns the same task with the scores before the activation; see ``Task``."""
        other = copy(self)
        other.activation = "identity"
        return other

    def logits(self, outputs: Outputs) -> npt.NDArray[np.float32]:
        """Returns the score of each pair before the activation; shape ``[rows]``, float32.

        Args:
            outputs: The model's outputs for a batch.
        """
        return self._scores.compute(outputs)

    def with_prompt_text(self, prompt: str) -> RerankTask:
        """Returns the same task with a caller's prompt before each query.

        Args:
            prompt: The text; empty for nothing.
        """
        other = copy(self)
        other._prompt = prompt  # noqa: SLF001 - a copy of this one
        other._scores = self._scores.skipping(self.count_prompt(prompt))  # noqa: SLF001
        return other

    def parity_target(self, signature: Signature) -> ParityTarget:  # noqa: ARG002 - a score is all that is read
        """Returns the scores before the activation, and their order, as the target; see ``Task``."""
        return self._scores.parity_target()

    def calibration_items(self) -> list[tuple[str, str]]:
        """Natural pairs; see ``Task``."""
        return calibration_pairs()

    def samples(self) -> list[list[tuple[str, str]]]:
        """Pairs from empty texts to the model's limit; see ``Task``."""
        return self._tokenizer.readable(sample_pairs(self._tokenizer.max_length, self._tokenizer.special_tokens))

    def _open_head(self, root: Path, options: Mapping[str, Any], signature: Signature) -> PooledScores:
        vectors = PooledVectors(root, options, signature, task=self.name)
        return PooledScores(vectors, self.count_prompt(self._prompt))
