"""A token of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferox.core import RequestError

_MOST_TOKENS = 2**32
"""The most tokens of a vocabulary: tokenizers count them in 32 bits."""


@dataclass(frozen=True)
class Token:
    """A token of a text.

    Attributes:
        id: Its id in the vocabulary.
        text: The characters that it stands for, or the name of a token that the tokenizer added.
        special: Whether the tokenizer added it, such as ``[CLS]``.
        start: The index of its first character; ``None`` if it was added.
        stop: The index after its last character; ``None`` if it was added.
    """

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


def refuse_impossible_ids(ids: Sequence[Sequence[int]]) -> None:
    """Refuses ids that no vocabulary can have.

    Args:
        ids: The tokens of each text.

    Raises:
        RequestError: If there is such an id.
    """
    for index, some in enumerate(ids):
        for number in some:
            if not 0 <= number < _MOST_TOKENS:
                raise unknown_token(index, number)


def unknown_token(index: int, number: int) -> RequestError:
    """Makes the error for an id that the vocabulary does not have.

    Args:
        index: The index of the text that has it.
        number: The id.
    """
    message = f"text {index} has the token {number}, which the vocabulary does not have"
    return RequestError(message).naming_item(index, "text {}")
