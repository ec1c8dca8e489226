"""The embedding spaces of a server's answers, which must not change while its vectors are gathered."""

from __future__ import annotations

from collections.abc import Mapping

from inferox.core import EmbeddingSpaceError


class EmbeddingSpaces:
    """Remembers the embedding space of each model, and refuses vectors of another.

    Args:
        pinned: The spaces that are known beforehand, by the name of the model.
    """

    def __init__(self, pinned: Mapping[str, str]) -> None:
        self._spaces = dict(pinned)

    def get(self, model: str) -> str | None:
        """The space of a model; ``None`` where no answer has stated one so far.

        Args:
            model: The name of the model.
        """
        return self._spaces.get(model)

    def check(self, model: str, actual: str | None) -> None:
        """Checks the space of an answer, which is remembered if it is the first.

        Args:
            model: The name of the model.
            actual: The space that the answer states; ``None`` where it states none.

        Raises:
            EmbeddingSpaceError: If it is another than that which is known.
        """
        expected = self._spaces.get(model)
        if expected is None:
            if actual is not None:
                self._spaces[model] = actual
        elif actual != expected:
            raise EmbeddingSpaceError(model, expected, actual)
