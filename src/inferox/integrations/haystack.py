"""Haystack: components that embed queries and documents with a package or a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

from haystack import Document, component

from inferox.core import RequestError
from inferox.integrations.embedder import Embedder

_opening = Lock()
"""Held while a component opens its model. Not an attribute, as components can be copied, and locks cannot."""


class _Embedding:
    """A component that opens its model when its pipeline is warmed up, or when it is first run.

    The arguments of a component are also its attributes: Haystack writes them when it serializes a pipeline.
    """

    model: str
    _options: dict[str, Any]
    _embedder: Embedder | None = None

    def warm_up(self) -> None:
        """Opens the model.

        Raises:
            InferoxError: See ``Embedder``.
        """
        self._open()

    def close(self) -> None:
        """Frees the model, which is opened again when it is needed."""
        with _opening:
            embedder, self._embedder = self._embedder, None
        if embedder is not None:
            embedder.close()

    def _open(self) -> Embedder:
        embedder = self._embedder
        if embedder is None:
            with _opening:
                embedder = self._embedder = self._embedder or Embedder(self.model, **self._options)
        return embedder


@component
class InferoxTextEmbedder(_Embedding):
    """Embeds a query.

    Args:
        model: A package, or the address of an ``inferox serve``.
        prompt: The name of the prompt to put before queries; for ``None`` see ``Embedder``.
        load_options: Arguments of ``inferox.load`` or ``inferox.Client``.
        embed_options: Arguments of ``embed``, such as ``normalize``, ``truncate`` or ``truncate_dim``.
    """

    def __init__(
        self,
        model: str,
        *,
        prompt: str | None = None,
        load_options: dict[str, Any] | None = None,
        embed_options: dict[str, Any] | None = None,
    ) -> None:
        self.model, self.prompt = model, prompt
        self.load_options, self.embed_options = load_options, embed_options
        self._options = {"query_prompt": prompt, "load_options": load_options, "embed_options": embed_options}

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        """Embeds a query.

        Args:
            text: The query.

        Returns:
            The vector, as ``embedding``.

        Raises:
            InferoxError: If it cannot be computed, or the model cannot be opened.
        """
        return {"embedding": self._open().embed_query(text)}


@component
class InferoxDocumentEmbedder(_Embedding):
    """Embeds documents.

    Args:
        model: A package, or the address of an ``inferox serve``.
        prompt: The name of the prompt to put before documents; for ``None`` see ``Embedder``.
        meta_fields_to_embed: The fields of a document's ``meta`` to put before its content.
        embedding_separator: The separator between those and the content.
        load_options: Arguments of ``inferox.load`` or ``inferox.Client``.
        embed_options: Arguments of ``embed``, such as ``normalize``, ``truncate`` or ``truncate_dim``.
    """

    def __init__(
        self,
        model: str,
        *,
        prompt: str | None = None,
        meta_fields_to_embed: Sequence[str] = (),
        embedding_separator: str = "\n",
        load_options: dict[str, Any] | None = None,
        embed_options: dict[str, Any] | None = None,
    ) -> None:
        self.model, self.prompt = model, prompt
        self.load_options, self.embed_options = load_options, embed_options
        self._options = {"document_prompt": prompt, "load_options": load_options, "embed_options": embed_options}
        self.meta_fields_to_embed, self.embedding_separator = list(meta_fields_to_embed), embedding_separator

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """Embeds documents.

        Args:
            documents: The documents, each with a text.

        Returns:
            The documents with their vectors, as ``documents``.

        Raises:
            RequestError: If a document has no text, or cannot be computed.
            InferoxError: If the model cannot be opened.
        """
        vectors = self._open().embed_documents([self._text(document) for document in documents])
        pairs = zip(documents, vectors, strict=True)
        return {"documents": [replace(document, embedding=vector) for document, vector in pairs]}

    def _text(self, document: Document) -> str:
        if document.content is None:
            raise RequestError(f"the document {document.id} has no text to embed")
        fields = [document.meta[name] for name in self.meta_fields_to_embed if document.meta.get(name) is not None]
        return self.embedding_separator.join([*map(str, fields), document.content])
