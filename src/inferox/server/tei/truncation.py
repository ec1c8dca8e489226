"""The truncation options of text-embeddings-inference's requests."""

from __future__ import annotations

from typing import Literal, Protocol

from inferox.server.call_options import CallOptions
from inferox.server.defaults import TEI

TruncationDirection = Literal["Left", "Right", "left", "right"]
"""The side on which texts are cut."""


class Truncating(Protocol):
    """A request that may choose whether and where texts are cut."""

    truncate: bool | None
    truncation_direction: TruncationDirection | None


def call_options(asked: Truncating, *, prompt: str | None = None, unscaled: bool = False) -> CallOptions:
    """Returns the options of a request.

    Args:
        asked: The request.
        prompt: The name of the prompt to put before each text; ``None`` for the model's default.
        unscaled: Whether results are returned without activation or normalization; see ``CallOptions``.
    """
    return CallOptions(
        cut=TEI.cut if asked.truncate is None else asked.truncate,
        truncation_side=asked.truncation_direction and asked.truncation_direction.lower(),
        prompt=prompt,
        unscaled=unscaled,
    )
