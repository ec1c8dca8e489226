"""A client of ``inferox serve``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.client.answers import InferAnswer, ModelMetadata, ModelState
from inferox.client.async_client import AsyncClient
from inferox.client.event_loop import LoopThread
from inferox.core import Closing
from inferox.tasks.labels import LabelScore
from inferox.tasks.ranking import RankedDocument


class Client(Closing):
    """A client of ``inferox serve``, with the calls of a loaded package.

    Inputs of any size are split into requests, of which several are sent at a time. May be used from any number of
    threads, also in code that runs in an event loop (a notebook).

        with inferox.Client("http://127.0.0.1:8000") as client:
            vectors = client.embed(["a text", "another"])

    Args:
        url: The address of the server.
        options: The fields of ``ClientConfig``.

    Raises:
        ConfigError: If the address or an option is invalid, or httpx2 is not installed.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._client = AsyncClient(url, **options)
        self._thread = LoopThread()
        self._is_closed = False

    def close(self) -> None:
        """Closes the connections. Closing twice does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._thread.run(self._client.close())
            self._thread.close()

    def embed(
        self,
        texts: str | Iterable[str],
        *,
        model: str | None = None,
        prompt: str | None = None,
        truncate: str = "warn",
        truncate_dim: int | None = None,
        normalize: bool = False,
        dtype: Any = "float32",
        deadline_s: float | None = None,
        return_truncated: bool = False,
    ) -> Any:
        """Embeds texts; shape ``[n, dimension]``, or ``[dimension]`` for a single text. See ``AsyncClient.embed``."""
        asked = self._client.embed(
            texts,
            model=model,
            prompt=prompt,
            truncate=truncate,
            truncate_dim=truncate_dim,
            normalize=normalize,
            dtype=dtype,
            deadline_s=deadline_s,
            return_truncated=return_truncated,
        )
        return self._thread.run(asked)

    def classify(
        self,
        texts: str | Iterable[str | tuple[str, str]],
        *,
        model: str | None = None,
        truncate: str = "warn",
        deadline_s: float | None = None,
    ) -> Any:
        """Classifies texts, or pairs of texts. See ``AsyncClient.classify``."""
        return self._thread.run(self._client.classify(texts, model=model, truncate=truncate, deadline_s=deadline_s))

    def token_classify(
        self,
        texts: str | Iterable[str],
        *,
        model: str | None = None,
        truncate: str = "warn",
        deadline_s: float | None = None,
    ) -> Any:
        """Labels spans of texts. See ``AsyncClient.token_classify``."""
        return self._thread.run(
            self._client.token_classify(texts, model=model, truncate=truncate, deadline_s=deadline_s)
        )

    def score(
        self,
        pairs: Iterable[tuple[str, str]],
        *,
        model: str | None = None,
        truncate: str = "warn",
        deadline_s: float | None = None,
    ) -> npt.NDArray[np.float32]:
        """Scores pairs of a query and a document; shape ``[n]``, float32. See ``AsyncClient.score``."""
        return self._thread.run(self._client.score(pairs, model=model, truncate=truncate, deadline_s=deadline_s))

    def rerank(
        self,
        query: str,
        documents: Iterable[str],
        *,
        model: str | None = None,
        top_k: int | None = None,
        truncate: str = "warn",
        deadline_s: float | None = None,
    ) -> list[RankedDocument]:
        """Ranks documents by relevance to a query, the best first. See ``AsyncClient.rerank``."""
        asked = self._client.rerank(
            query, documents, model=model, top_k=top_k, truncate=truncate, deadline_s=deadline_s
        )
        return self._thread.run(asked)

    def classify_images(
        self, images: Sequence[bytes | Path], *, model: str | None = None, deadline_s: float | None = None
    ) -> list[tuple[LabelScore, ...]]:
        """Classifies images. See ``AsyncClient.classify_images``."""
        return self._thread.run(self._client.classify_images(images, model=model, deadline_s=deadline_s))

    def infer(
        self,
        model: str,
        inputs: Mapping[str, npt.ArrayLike],
        *,
        outputs: Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
        version: str | None = None,
        deadline_s: float | None = None,
    ) -> InferAnswer:
        """Computes named tensors with any model, in one request. See ``AsyncClient.infer``."""
        asked = self._client.infer(
            model, inputs, outputs=outputs, parameters=parameters, version=version, deadline_s=deadline_s
        )
        return self._thread.run(asked)

    def models(self) -> list[ModelState]:
        """Lists the models of the server, sorted by name. See ``AsyncClient.models``."""
        return self._thread.run(self._client.models())

    def describe(self, model: str) -> ModelMetadata:
        """Returns the metadata of a model: its task, and its tensors. See ``AsyncClient.describe``."""
        return self._thread.run(self._client.describe(model))

    def prompts(self, model: str | None = None) -> Mapping[str, str] | None:
        """Returns the prompts of a model for ``embed``, by name. See ``AsyncClient.prompts``."""
        return self._thread.run(self._client.prompts(model))

    def embedding_space(self, model: str) -> str | None:
        """Returns the id of a model's embedding space. See ``AsyncClient.embedding_space``."""
        return self._client.embedding_space(model)

    def is_live(self) -> bool:
        """Returns True if the server answers at all; does not retry."""
        return self._thread.run(self._client.is_live())

    def is_ready(self) -> bool:
        """Returns True if the server can compute every model now; does not retry."""
        return self._thread.run(self._client.is_ready())

    def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Waits until the server can compute every model. See ``AsyncClient.wait_until_ready``."""
        self._thread.run(self._client.wait_until_ready(timeout_s))
