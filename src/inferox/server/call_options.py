"""Options of a request besides its model and its items, whatever the protocol."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

ARTIFACT_HEADER = "inferox-artifact"
"""The header with which a request chooses an artifact, whatever the protocol."""

current_artifact: ContextVar[str | None] = ContextVar("current_artifact", default=None)
"""The value of that header in the request being answered."""


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """Options of a request besides its model and its items, whatever the protocol.

    Attributes:
        version: The version of the model, or a label; ``None`` for the version loaded last.
        prompt: The name of the prompt to put before each text; ``None`` for the model's default.
        cut: Whether texts that are too long are cut; otherwise they are refused.
        truncation_side: The side on which they are cut: ``left`` or ``right``; ``None`` for the model's own.
        unscaled: Whether scores are returned before their activation, and vectors before normalization to length 1.
        of_tokens: Whether the vectors of single tokens are returned, as the model computes them.
        token_ids: Whether the items are lists of token ids instead of texts.
        artifact: The artifact that computes them, one of those offered; ``None`` for the one that a header names, or
            else the serving one.
        priority: The priority; lower numbers go first.
        timeout_s: The time limit of the request, if shorter than the server's; ``None`` for the server's.
    """

    version: str | None = None
    prompt: str | None = None
    cut: bool = False
    truncation_side: str | None = None
    unscaled: bool = False
    of_tokens: bool = False
    token_ids: bool = False
    artifact: str | None = None
    priority: int = 0
    timeout_s: float | None = None
