"""LlamaIndex: a package or a server as ``BaseEmbedding``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import PrivateAttr

from inferox.client import Client
from inferox.integrations.embedder import Embedder
from inferox.loading import TaskModel

_BATCH_TEXTS = 1024
"""The number of texts that LlamaIndex passes at a time: Inferox batches them by tokens itself."""


class InferoxEmbedding(BaseEmbedding):
    """Embeds LlamaIndex's nodes and queries.

    Args:
        model: A package to load, the address of an ``inferox serve``, or a loaded package or client.
        query_prompt: See ``Embedder``; so for the following arguments.
        document_prompt: The name of the prompt to put before documents.
        load_options: Arguments of ``inferox.load`` or ``inferox.Client``.
        embed_options: Arguments of ``embed``, such as ``normalize``, ``truncate`` or ``truncate_dim``.
        fields: The fields of ``BaseEmbedding``, such as ``embed_batch_size``, by default 1024, and ``num_workers``.

    Raises:
        InferoxError: See ``Embedder``.
    """

    _embedder: Embedder = PrivateAttr()

    def __init__(
        self,
        model: str | Path | TaskModel | Client,
        *,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        load_options: Mapping[str, Any] | None = None,
        embed_options: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        # The fields are validated first: an error after loading would leave the package open with nobody to close it.
        super().__init__(**{"embed_batch_size": _BATCH_TEXTS, **fields})
        self._embedder = Embedder(
            model,
            query_prompt=query_prompt,
            document_prompt=document_prompt,
            load_options=load_options,
            embed_options=embed_options,
        )
        if "model_name" not in fields:
            self.model_name = self._embedder.name or "inferox"

    @classmethod
    def class_name(cls) -> str:
        """Returns the name of the class for LlamaIndex's serialization."""
        return "InferoxEmbedding"

    def close(self) -> None:
        """Frees the model, if this has loaded it."""
        self._embedder.close()

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._embedder.embed_query(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._embedder.embed_query, query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._embedder.embed_documents([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._embedder.embed_documents(texts)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._embedder.embed_documents, texts)
