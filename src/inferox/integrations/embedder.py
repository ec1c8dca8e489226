"""The embedder behind the integrations: it distinguishes queries from documents, and returns lists of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from inferox.client import Client
from inferox.core import Closing, ConfigError, InferoxError, RequestError, shown
from inferox.core.prompt_names import DOCUMENT_PROMPTS, QUERY_PROMPTS, find_prompt
from inferox.integrations.options import check_options
from inferox.loading import TaskModel, load
from inferox.machine.server_address import is_server_address
from inferox.tasks import EmbedTask


class Embedder(Closing):
    """Embeds queries and documents. May be used from several threads at once.

    Args:
        model: A package to load, the address of an ``inferox serve``, or a loaded package or client, which stays open
            when this is closed.
        query_prompt: The name of the prompt to put before queries; ``None`` for the first of ``query`` and
            ``search_query`` for which the model has a text.
        document_prompt: The name of the prompt to put before documents; ``None`` for the first of ``document``,
            ``passage``, ``corpus`` and ``search_document`` for which the model has a text. A server is asked for its
            prompts when they are first needed.
        load_options: Arguments of ``inferox.load`` or ``inferox.Client``.
        embed_options: Arguments of ``embed``, such as ``normalize``, ``truncate`` or ``truncate_dim``.

    Raises:
        ConfigError: If load options are given for a loaded model, or an option or the model is invalid.
        RequestError: If the package's task is not ``embed``, or it has no such prompt.
        InferoxError: If the package cannot be loaded.
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
        self._is_own = isinstance(model, str | Path)
        if load_options and not self._is_own:
            raise ConfigError(
                "load_options are given for a model that is already loaded", hint="give the package's path"
            )
        if "prompt" in (embed_options or {}):
            raise ConfigError(
                "prompt is given for queries and documents alike", hint="give query_prompt and document_prompt"
            )
        if "return_truncated" in (embed_options or {}):
            raise ConfigError(
                "return_truncated is given, but only vectors are returned",
                hint="truncate='error' refuses texts that are too long",
            )
        if not isinstance(model, str | Path | TaskModel | Client):
            raise ConfigError(
                f"model must be a package, a server's address, a loaded package or a client, but is {shown(model)}"
            )
        self._options = dict(embed_options or {})
        self._model = _open(model, load_options or {}) if isinstance(model, str | Path) else model
        self._query_prompt, self._document_prompt = query_prompt, document_prompt
        try:
            check_options("embed_options", self._model.embed, self._options)
            if isinstance(self._model, TaskModel):
                self._check_task(self._model)
        except InferoxError:
            self.close()
            raise

    @property
    def name(self) -> str | None:
        """The name of the package; ``None`` for a server, which may have several."""
        return self._model.name if isinstance(self._model, TaskModel) else None

    def embed_query(self, text: str) -> list[float]:
        """Embeds a query.

        Raises:
            RequestError: If it cannot be computed.
        """
        return self._embed([text], self._choose_prompts()[0])[0]

    def embed_documents(self, texts: Iterable[str]) -> list[list[float]]:
        """Embeds documents.

        Raises:
            RequestError: If one cannot be computed (the error names it), or ``texts`` is a single string.
        """
        if isinstance(texts, str):
            raise RequestError(
                f"documents must be a list of texts, but are a single text, {shown(texts)}",
                hint="put it into a list; otherwise each of its characters would be a document",
            )
        return self._embed(list(texts), self._choose_prompts()[1])

    def close(self) -> None:
        """Frees the model, if this has loaded it. Closing twice does nothing."""
        if self._is_own:
            self._model.close()

    def _embed(self, texts: list[str], prompt: str) -> list[list[float]]:
        vectors: list[list[float]] = self._model.embed(texts, prompt=prompt, **self._options).tolist()
        return vectors

    def _check_task(self, model: TaskModel) -> None:
        task = model.task
        if not isinstance(task, EmbedTask):
            raise RequestError(
                f"{model.name!r} is packed for the task {task.name}, and makes no vectors",
                hint="give a package for embed",
            )
        for prompt in self._choose_prompts():
            task.with_prompt(prompt)

    def _choose_prompts(self) -> tuple[str, str]:
        """Returns the names of the prompts for queries and documents; those not given are looked up once."""
        query, document = self._query_prompt, self._document_prompt
        if query is None or document is None:
            found = self._find_prompts()
            query = query or find_prompt(QUERY_PROMPTS, found) or QUERY_PROMPTS[0]
            document = document or find_prompt(DOCUMENT_PROMPTS, found) or DOCUMENT_PROMPTS[0]
            self._query_prompt, self._document_prompt = query, document
        return query, document

    def _find_prompts(self) -> Mapping[str, str]:
        if isinstance(self._model, Client):
            return self._model.prompts(self._options.get("model")) or {}
        return self._model.task.prompts if isinstance(self._model.task, EmbedTask) else {}


def _open(model: str | Path, options: Mapping[str, Any]) -> TaskModel | Client:
    text = str(model)
    if is_server_address(text):
        return Client(text, **options)
    check_options("load_options", load, options)
    return load(text, **options)
