"""What requests of text-embeddings-inference say about texts that are too long."""

from __future__ import annotations

from typing import Literal, Protocol

from inferox.server.call_options import CallOptions
from inferox.server.defaults import TEI

TruncationDirection = Literal["Left", "Right", "left", "right"]
"""At which end texts are cut."""


class Truncating(Protocol):
    """A request that may say whether and where texts are cut."""

    truncate: bool | None
    truncation_direction: TruncationDirection | None


def call_options(asked: Truncating, *, prompt: str | None = None, unscaled: bool = False) -> CallOptions:
    """What a request says beside its model and its items.

    Args:
        asked: The request.
        prompt: The name of the prompt to put before each text; ``None`` for the model's default.
        unscaled: Whether results are given before they are scaled; see ``CallOptions``.
    """
    return CallOptions(
        cut=TEI.cut if asked.truncate is None else asked.truncate,
        truncation_side=asked.truncation_direction and asked.truncation_direction.lower(),
        prompt=prompt,
        unscaled=unscaled,
    )
