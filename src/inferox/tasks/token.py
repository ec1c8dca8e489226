"""A token of a text."""

from __future__ import annotations

from dataclasses import dataclass


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
