"""What a request says beside its model and its items, whatever the protocol."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

ARTIFACT_HEADER = "inferox-artifact"
"""The header by which a request asks for an artifact, whatever the protocol."""

current_artifact: ContextVar[str | None] = ContextVar("current_artifact", default=None)
"""What that says in the request that is being answered."""


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """What a request says beside its model and its items, whatever the protocol.

    Attributes:
        version: The version of the model, or a label; ``None`` for the one that was loaded last.
        prompt: The name of the prompt to put before each text; ``None`` for the model's default.
        cut: Whether texts that are too long are cut; otherwise they are refused.
        truncation_side: On which side they are cut: ``left`` or ``right``; ``None`` for the model's own.
        unscaled: Whether scores are given before their activation, and vectors before they are scaled to length 1.
        of_tokens: Whether the vectors of single tokens are given, as the model has them.
        token_ids: Whether the items are lists of token ids in place of texts.
        artifact: The artifact that computes them, of those that are offered; ``None`` for what a header says, or else
            for the one that serves.
        priority: Lower numbers go first.
        timeout_s: How long it may take, where that is less than any request may; ``None`` for that.
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
