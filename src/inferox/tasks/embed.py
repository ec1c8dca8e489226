"""The task ``embed``: texts to vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from inferox.core import (
    BATCH,
    Batch,
    DataType,
    ManifestError,
    Outputs,
    RequestError,
    Signature,
    TensorSpec,
    positive_integer,
)
from inferox.core.prompt_names import USUAL_PROMPTS, describe_prompts
from inferox.parity import Arrays, ParityTarget
from inferox.tasks.options import optional
from inferox.tasks.pooled_vectors import PooledVectors
from inferox.tasks.text_task import TextTask
from inferox.tasks.texts import check_texts
from inferox.tasks.vector_settings import read_matryoshka_dims, read_vector_ranges


class EmbedTask(TextTask):
    """Embeds each text as a vector: token vectors, pooling, and the layers after it.

    Items are strings. Results are vectors: shape ``[dimension]``, float32.

    Args:
        root: The folder of the package.
        options: ``pooling``, ``modules``, ``include_prompt``, ``prompts``, ``default_prompt``, ``similarity``,
            ``truncate_dim`` and ``matryoshka_dims``, as ``read_embed_files`` returns them, the options of the
            tokenizer, and ``vector_ranges``.
        signature: The model's signature.

    Attributes:
        default_prompt: The name of the prompt put before texts if none is named; ``None`` for none.
        similarity: The intended similarity of vectors: ``cosine``, ``dot``, ``euclidean`` or ``manhattan``; ``None`` if
            the model does not state it.
        vector_ranges: The minima and the maxima of the numbers of the vectors; ``None`` if they were not measured.

    Raises:
        ManifestError: If an option is of the wrong type or value, or the model has no token vectors.
        PackageError: If a file is missing or cannot be read.
    """

    name: ClassVar[str] = "embed"
    reads_items: ClassVar[bool] = False

    def __init__(self, root: Path, options: Mapping[str, Any], signature: Signature) -> None:
        super().__init__(root, options, signature)
        self._vectors = PooledVectors(root, options, signature, task=self.name)
        self._prompts = {**USUAL_PROMPTS, **(optional(options, "prompts", dict) or {})}
        if not all(isinstance(text, str) for text in self._prompts.values()):
            raise ManifestError(f"'prompts' must give a text for each name, but is {self._prompts!r}")
        self._gives_tokens = self._reads_token_ids = False
        truncate_dim = optional(options, "truncate_dim", int)
        if truncate_dim is not None and truncate_dim < 1:
            raise ManifestError(f"'truncate_dim' must be 1 or more, but is {truncate_dim}")
        self._use_truncate_dim(truncate_dim)
        self._matryoshka_dims = read_matryoshka_dims(options.get("matryoshka_dims"), "matryoshka_dims")
        self.vector_ranges = read_vector_ranges(options.get("vector_ranges"), self._dimension)
        self.similarity = optional(options, "similarity", str)
        self.default_prompt = default = optional(options, "default_prompt", str)
        if default is not None and default not in self._prompts:
            raise ManifestError(f"'default_prompt' is {default!r}, but the prompts are {', '.join(self._prompts)}")
        self._use_prompt("" if default is None else self._prompts[default])

    @property
    def truncate_dim(self) -> int | None:
        """The number of leading components kept of each vector; ``None`` for all."""
        return self._truncate_dim

    @property
    def dimension(self) -> int:
        """The length of the vectors."""
        return self._dimension

    @property
    def matryoshka_dims(self) -> tuple[int, ...]:
        """The lengths to which vectors may be cut, as the model was trained for it; ascending, without their own."""
        return tuple(dim for dim in self._matryoshka_dims if dim < self._dimension)

    @property
    def pooling(self) -> str:
        """The pooling of token vectors into one: its modes, joined by ``+``."""
        return self._vectors.pooling

    @property
    def prompts(self) -> Mapping[str, str]:
        """The prompts that can be put before texts, by name: for instance one for queries and one for documents."""
        return self._prompts

    def with_prompt(self, name: str) -> EmbedTask:
        """Returns the same task with another prompt before each text.

        Args:
            name: One of ``prompts``.

        Raises:
            RequestError: If there is no such prompt.
        """
        if not isinstance(name, str) or name not in self._prompts:
            raise RequestError(f"there is no prompt {name!r}", hint=describe_prompts(self._prompts))
        return self.with_prompt_text(self._prompts[name])

    def with_prompt_text(self, prompt: str) -> EmbedTask:
        """Returns the same task with a caller's prompt before each text.

        Args:
            prompt: The text; empty for nothing.
        """
        other = copy(self)
        other._use_prompt(prompt)  # noqa: SLF001 - a copy of this one
        return other

    def unscaled(self) -> EmbedTask:
        """Returns the same task without the final scaling of vectors to unit length; see ``Task``."""
        other = copy(self)
        other._vectors = self._vectors.unscaled()  # noqa: SLF001 - a copy of this one
        return other

    def with_truncate_dim(self, truncate_dim: int | None) -> EmbedTask:
        """Returns the same task with vectors of another length.

        Args:
            truncate_dim: The number of leading components of each vector to keep; ``None``, or more than there are,
                keeps all.

        Raises:
            ConfigError: If it is less than 1.
        """
        wanted = None if truncate_dim is None else positive_integer("truncate_dim", truncate_dim)
        other = copy(self)
        other._use_truncate_dim(wanted)  # noqa: SLF001 - a copy of this one
        return other

    def token_vectors(self, outputs: Outputs) -> npt.NDArray[Any]:
        """Returns the vectors of all tokens, before pooling.

        Args:
            outputs: The model's outputs for a batch.

        Returns:
            Shape ``[tokens, hidden]``, all rows end to end, as ``outputs.cu_seqlens`` divides them.
        """
        return self._vectors.of_tokens(outputs)

    def of_tokens(self) -> EmbedTask:
        """Returns the same task with each text's token vectors as answers, including the prompt and special tokens.

        They are the model's own, without pooling or the layers after it. Shape ``[tokens, hidden]``, float32.
        """
        other = copy(self)
        other._gives_tokens = True  # noqa: SLF001 - a copy of this one
        return other

    def reading_token_ids(self) -> EmbedTask:
        """Returns the same task for items that are token ids; see ``Task``. No prompt is put before them."""
        other = copy(self)
        other._reads_token_ids = True  # noqa: SLF001 - a copy of this one, as below
        other._use_prompt("")  # noqa: SLF001
        return other

    def encode(self, items: Sequence[Any]) -> Batch:
        """Encodes each text, or each list of token ids, as a row; see ``Task``. An empty text is allowed."""
        if self._reads_token_ids:
            return self._tokenizer.encode_token_ids(items)
        return self._tokenizer.encode(items, check=check_texts, prompt=self._prompt)

    def decode(
        self,
        items: Sequence[Any],  # noqa: ARG002 - a vector depends on the tokens alone
        batch: Batch,  # noqa: ARG002
        outputs: Outputs,
    ) -> npt.NDArray[np.float32] | list[npt.NDArray[np.float32]]:
        """Pools each row's token vectors into a vector; shape ``[rows, dimension]``, float32. See ``Task``."""
        if self._gives_tokens:
            return np.split(self.token_vectors(outputs).astype(np.float32), outputs.cu_seqlens[1:-1])
        return self._vectors.compute(outputs, skip=self._skip)[:, : self._truncate_dim]

    def collect(self, count: int, answers: Iterable[tuple[Sequence[int], Any]]) -> Any:
        """Collects the vectors of several batches into one array; shape ``[count, dimension]``, float32. See ``Task``.

        Token vectors are collected into a list with one array per text.
        """
        if self._gives_tokens:
            return super().collect(count, answers)
        vectors = np.empty((count, self._dimension), dtype=np.float32)
        for indices, decoded in answers:
            vectors[indices] = decoded
        return vectors

    def parity_target(self, signature: Signature) -> ParityTarget:  # noqa: ARG002 - the vectors have a form of their own
        """Returns the vectors of the texts as the target; see ``Task``."""

        def read(inputs: Arrays, outputs: Arrays) -> Arrays:
            vectors = self._vectors.compute_batch(inputs, outputs, skip=self._skip)
            return {} if vectors is None else {"embedding": vectors[:, : self._truncate_dim]}

        return ParityTarget((TensorSpec("embedding", DataType.F32, (BATCH, self._dimension)),), read)

    def _use_truncate_dim(self, truncate_dim: int | None) -> None:
        width = self._vectors.dimension
        self._truncate_dim = truncate_dim
        self._dimension = width if truncate_dim is None else min(width, truncate_dim)

    def _use_prompt(self, prompt: str) -> None:
        self._prompt = prompt
        self._skip = 0 if self._vectors.include_prompt else self.count_prompt(prompt)
