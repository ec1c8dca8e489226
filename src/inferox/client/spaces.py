"""The embedding spaces of a server's answers, which must not change between calls."""

from __future__ import annotations

from collections.abc import Mapping

from inferox.core import EmbeddingSpaceError


class EmbeddingSpaces:
    """Remembers the embedding space of each model, and rejects vectors of another.

    Args:
        pinned: The spaces known beforehand, by the name of the model.
    """

    def __init__(self, pinned: Mapping[str, str]) -> None:
        self._spaces = dict(pinned)

    def get(self, model: str) -> str | None:
        """Returns the embedding space of a model; ``None`` if no answer has stated one so far.

        Args:
            model: The name of the model.
        """
        return self._spaces.get(model)

    def check(self, model: str, actual: str | None) -> None:
        """Checks the embedding space of an answer; the first one is remembered.

        Args:
            model: The name of the model.
            actual: The space that the answer states; ``None`` if it states none.

        Raises:
            EmbeddingSpaceError: If it differs from the known one.
        """
        expected = self._spaces.get(model)
        if expected is None:
            if actual is not None:
                self._spaces[model] = actual
        elif actual != expected:
            raise EmbeddingSpaceError(model, expected, actual)
