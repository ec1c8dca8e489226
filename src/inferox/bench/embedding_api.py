"""What servers of embeddings are asked, and what their answers look like."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EmbeddingApi:
    """A way to ask for embeddings.

    Attributes:
        name: Its name.
        path: The path of requests.
        write: Makes the content of a request of some texts, for a model.
        read: The vectors of an answer's content.
    """

    name: str
    path: str
    write: Callable[[Sequence[str], str | None], dict[str, Any]]
    read: Callable[[Any], Sequence[Any]]

    def is_answer(self, body: bytes, count: int) -> bool:
        """Whether a body has a vector for each text.

        Args:
            body: The body of an answer.
            count: How many texts there were.
        """
        try:
            vectors = self.read(json.loads(body))
            return len(vectors) == count and all(len(vector) > 0 for vector in vectors)
        except (ValueError, TypeError, KeyError, RecursionError):
            return False


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
"""Those that there are, by name."""
