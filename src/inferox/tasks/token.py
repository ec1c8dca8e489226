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
        id: Its number in the vocabulary.
        text: The characters that it stands for; of a token that the tokenizer added, its name.
        special: Whether the tokenizer added it, such as ``[CLS]``.
        start: The index of its first character; ``None`` where it was added.
        stop: The index after its last character; ``None`` where it was added.
    """

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


def refuse_impossible_ids(ids: Sequence[Sequence[int]]) -> None:
    """Refuses numbers that are no tokens of any vocabulary.

    Args:
        ids: The tokens of each text.

    Raises:
        RequestError: If there is one.
    """
    for index, some in enumerate(ids):
        for number in some:
            if not 0 <= number < _MOST_TOKENS:
                raise unknown_token(index, number)


def unknown_token(index: int, number: int) -> RequestError:
    """The error for a number that is no token of the vocabulary.

    Args:
        index: The text that has it.
        number: The number.
    """
    message = f"text {index} has the token {number}, which the vocabulary does not have"
    return RequestError(message).naming_item(index, "text {}")
