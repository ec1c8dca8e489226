"""The request and response formats of embedding servers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EmbeddingApi:
    """A protocol for embeddings.

    Attributes:
        name: Its name.
        path: The path of requests.
        write: Makes the content of a request from texts and a model.
        read: Extracts the vectors from the content of a response.
    """

    name: str
    path: str
    write: Callable[[Sequence[str], str | None], dict[str, Any]]
    read: Callable[[Any], Sequence[Any]]

    def is_answer(self, body: bytes, count: int) -> bool:
        """Returns True if a body has a vector for each text: a list of finite numbers, or a non-empty string (base64).

        Args:
            body: The body of a response.
            count: The number of texts.
        """
        try:
            vectors = self.read(json.loads(body))
            return isinstance(vectors, list) and len(vectors) == count and all(map(_is_vector, vectors))
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            return False


def _is_vector(value: Any) -> bool:
    if isinstance(value, list):
        # NaN is a number for Python's JSON; the sum of a vector reveals a number that is not finite.
        return bool(value) and math.isfinite(math.fsum(value))
    return isinstance(value, str) and value != ""


APIS = {
    api.name: api
    for api in (
        EmbeddingApi(
            "openai",
            "/v1/embeddings",
            lambda texts, model: {"model": model, "input": list(texts)},
            lambda content: [item["embedding"] for item in content["data"]],
        ),
        EmbeddingApi("tei", "/embed", lambda texts, _model: {"inputs": list(texts)}, lambda content: content),
    )
}
"""The supported protocols, by name."""
