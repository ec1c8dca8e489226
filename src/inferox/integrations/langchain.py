"""LangChain: a package or a server as ``Embeddings``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings

from inferox.client import Client
from inferox.core import Closing
from inferox.integrations.embedder import Embedder
from inferox.loading import TaskModel


class InferoxEmbeddings(Embeddings, Closing):
    """Embeds texts for LangChain's vector stores and retrievers.

    Args:
        model: A package to load, the address of an ``inferox serve``, or a loaded package or client.
        query_prompt: See ``Embedder``; so for the following arguments.
        document_prompt: The name of the prompt to put before documents.
        load_options: Arguments of ``inferox.load`` or ``inferox.Client``.
        embed_options: Arguments of ``embed``, such as ``normalize``, ``truncate`` or ``truncate_dim``.

    Raises:
        InferoxError: See ``Embedder``.
    """

    def __init__(
        self,
        model: str | Path | TaskModel | Client,
        *,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        load_options: Mapping[str, Any] | None = None,
        embed_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._embedder = Embedder(
            model,
            query_prompt=query_prompt,
            document_prompt=document_prompt,
            load_options=load_options,
            embed_options=embed_options,
        )

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embeds documents.

        Args:
            texts: The documents.

        Raises:
            RequestError: If one cannot be computed; the error names it.
        """
        return self._embedder.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        """Embeds a query.

        Args:
            text: The query.

        Raises:
            RequestError: If it cannot be computed.
        """
        return self._embedder.embed_query(text)

    def close(self) -> None:
        """Frees the model, if this has loaded it."""
        self._embedder.close()
