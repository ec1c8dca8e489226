"""Texts to vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from inferox.batching import Outputs, Row
from inferox.core import BATCH, DataType, ManifestError, RequestError, Signature, TensorSpec
from inferox.package import Arrays, Reading
from inferox.tasks.embed_modules import open_module
from inferox.tasks.options import optional, required_list
from inferox.tasks.pooling import POOLING_MODES, pool
from inferox.tasks.signature import find_output, last_extent
from inferox.tasks.text_task import TextTask
from inferox.tasks.texts import check_texts

_USUAL_PROMPTS = {"query": "", "document": ""}
"""The prompts that every model has, so that callers need not know whether it makes a difference."""


class EmbedTask(TextTask):
    """Makes a vector of each text: tokens to vectors, pooling, and the layers after it.

    Items are strings. Results are vectors: shape ``[dimension]``, float32.

    Args:
        root: The folder of the package.
        options: ``pooling``, ``modules``, ``include_prompt``, ``prompts``, ``default_prompt`` and ``truncate_dim``, as
            ``read_embed_files`` gives them, and the options of the tokenizer.
        signature: What the model takes and gives.

    Raises:
        ManifestError: If an option is of the wrong type or value, or the model gives no token vectors.
        PackageError: If a file is missing or cannot be read.
    """

    name: ClassVar[str] = "embed"

    def __init__(self, root: Path, options: Mapping[str, Any], signature: Signature) -> None:
        super().__init__(root, options, signature)
        self._output = find_output(signature, "last_hidden_state", ndim=3, task=self.name, shape="[batch, seq, hidden]")
        self._pooling = required_list(options, "pooling", str)
        unknown = [mode for mode in self._pooling if mode not in POOLING_MODES]
        if unknown or not self._pooling:
            raise ManifestError(f"'pooling' must list some of {', '.join(POOLING_MODES)}, and is {self._pooling}")
        self._modules = [open_module(module, root) for module in required_list(options, "modules", dict)]
        self._prompts = {**_USUAL_PROMPTS, **(optional(options, "prompts", dict) or {})}
        if not all(isinstance(text, str) for text in self._prompts.values()):
            raise ManifestError(f"'prompts' must give a text for each name, and is {self._prompts!r}")
        self._include_prompt = optional(options, "include_prompt", bool) is not False
        self._truncate_dim = optional(options, "truncate_dim", int)
        if self._truncate_dim is not None and self._truncate_dim < 1:
            raise ManifestError(f"'truncate_dim' must be 1 or more, and is {self._truncate_dim}")
        self._dimension = self._width(self._output)
        default = optional(options, "default_prompt", str)
        if default is not None and default not in self._prompts:
            raise ManifestError(f"'default_prompt' is {default!r}, and the prompts are {', '.join(self._prompts)}")
        self._use_prompt("" if default is None else self._prompts[default])

    @property
    def dimension(self) -> int:
        """The length of the vectors."""
        return self._dimension

    @property
    def prompts(self) -> Mapping[str, str]:
        """What can be put before texts, by name: for instance one for queries and one for documents."""
        return self._prompts

    def with_prompt(self, name: str) -> EmbedTask:
        """The same task, with another prompt before each text.

        Args:
            name: One of ``prompts``.

        Raises:
            RequestError: If there is no such prompt.
        """
        if name not in self._prompts:
            raise RequestError(f"there is no prompt {name!r}", hint=f"the model has {', '.join(self._prompts)}")
        other = copy(self)
        other._use_prompt(self._prompts[name])  # noqa: SLF001 - a copy of this one
        return other

    def encode(self, items: Sequence[str]) -> list[Row]:
        """Makes a row of each text; see ``Task``. An empty text is legal."""
        check_texts(items)
        texts = [self._prompt + item for item in items] if self._prompt else items
        return self._tokenizer.encode(texts)

    def decode(
        self,
        items: Sequence[str],  # noqa: ARG002 - a vector depends on the tokens alone
        rows: Sequence[Row],
        outputs: Sequence[Outputs],
    ) -> list[npt.NDArray[np.float32]]:
        """Makes a vector of each row's token vectors; see ``Task``."""
        if not rows:
            return []
        # A model with a fixed length gives vectors for the padding too.
        tokens = (output[self._output.name][: len(row["input_ids"])] for row, output in zip(rows, outputs, strict=True))
        vectors = np.stack([pool(item, self._pooling, skip=self._skip) for item in tokens])
        for module in self._modules:
            vectors = module(vectors)
        return list(vectors[:, : self._truncate_dim])

    def to_matrix(self, results: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """Stacks results; shape ``[n, dimension]``, also for none."""
        return np.stack(results) if len(results) else np.empty((0, self._dimension), dtype=np.float32)

    def reading(self, signature: Signature) -> Reading:  # noqa: ARG002 - the vectors have a form of their own
        """The vectors of the texts; see ``Task``."""

        def read(inputs: Arrays, outputs: Arrays) -> Arrays:
            mask = inputs.get("attention_mask")
            lengths = [inputs["input_ids"].shape[1]] * len(inputs["input_ids"]) if mask is None else mask.sum(axis=1)
            rows = [{"input_ids": ids[:length]} for ids, length in zip(inputs["input_ids"], lengths, strict=True)]
            whole = outputs.get(self._output.name)
            if whole is None or whole.ndim != 3 or len(whole) != len(rows):  # noqa: PLR2004 - [batch, seq, hidden]
                return {}
            vectors = self.decode([""] * len(rows), rows, [{self._output.name: tokens} for tokens in whole])
            return {"embedding": self.to_matrix(vectors)}

        return Reading((TensorSpec("embedding", DataType.F32, (BATCH, self._dimension)),), read)

    def _use_prompt(self, prompt: str) -> None:
        self._prompt = prompt
        self._skip = self._tokenizer.count_prompt(prompt) if prompt and not self._include_prompt else 0

    def _width(self, output: TensorSpec) -> int:
        width = last_extent(output) * len(self._pooling)
        for module in self._modules:
            width = module.width(width)
        return width if self._truncate_dim is None else min(width, self._truncate_dim)
