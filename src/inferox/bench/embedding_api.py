"""What servers of embeddings are asked, and what their answers look like."""

from __future__ import annotations

import json
import math
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
        """Whether a body has a vector for each text: finite numbers, or the text that base64 makes of them.

        Args:
            body: The body of an answer.
            count: How many texts there were.
        """
        try:
            vectors = self.read(json.loads(body))
            return isinstance(vectors, list) and len(vectors) == count and all(map(_is_vector, vectors))
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            return False


def _is_vector(value: Any) -> bool:
    if isinstance(value, list):
        # NaN is a number for Python's JSON; the sum of a vector tells whether one of its numbers is not finite.
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
"""Those that there are, by name."""
