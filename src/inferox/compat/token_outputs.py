"""Outputs of texts at the level of tokens: the tokens, and their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.batching import run_batches
from inferox.compat.tensors import to_torch_if_installed
from inferox.core import Model
from inferox.tasks import EmbedTask
from inferox.tasks.text_task import TextTask


def encode_tokens(model: Model, task: EmbedTask, texts: list[Any], max_tokens: int, *, only_tokens: bool) -> list[Any]:
    """Computes the token vectors of each text, and optionally its tokens and its vector.

    Args:
        model: The model.
        task: The task of the model.
        texts: The texts.
        max_tokens: The most tokens of a batch.
        only_tokens: Whether only the token vectors are wanted.

    Returns:
        For each text its token vectors, shape ``[tokens, hidden]``; or a dict of those, its tokens and its vector, by
        name. Tensors if PyTorch is installed, otherwise arrays.

    Raises:
        RequestError: If a text cannot be computed.
    """
    read, rows = task.read(texts, "warn")
    found: list[Any] = [None] * len(read)
    for indices, batch, outputs in run_batches(model, rows, max_tokens=max_tokens):
        tokens, ends = task.token_vectors(outputs), outputs.cu_seqlens
        vectors = task.decode([read[index] for index in indices], batch, outputs)
        for position, index in enumerate(indices):
            span = slice(ends[position], ends[position + 1])
            of_text = {"token_embeddings": np.array(tokens[span])}
            if not only_tokens:
                of_text |= {name: np.array(array[span]) for name, array in batch.ragged.items()}
                of_text |= {
                    "attention_mask": np.ones(len(tokens[span]), np.int64),
                    "sentence_embedding": vectors[position],
                }
            tensors = {name: to_torch_if_installed(array) for name, array in of_text.items()}
            found[index] = tensors["token_embeddings"] if only_tokens else tensors
    return found


def pad_tokens(task: TextTask, texts: Sequence[Any]) -> dict[str, npt.NDArray[np.int64]]:
    """Tokenizes texts, padded to the longest.

    Args:
        task: The task whose tokenizer to use.
        texts: The texts, or pairs of texts.

    Returns:
        The inputs of the model by name, with ``attention_mask``; shape ``[n, longest]``, int64.
    """
    rows = task.encode(texts)
    lengths, longest = rows.lengths, rows.longest
    mask = np.arange(longest) < lengths[:, None]
    padded = {}
    for name, values in rows.ragged.items():
        padded[name] = np.full(mask.shape, rows.pad_values.get(name, 0), np.int64)
        padded[name][mask] = values
    return {**padded, "attention_mask": mask.astype(np.int64)}
