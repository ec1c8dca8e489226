"""What a request says beside its model and its items, whatever the protocol."""

from __future__ import annotations

from dataclasses import dataclass


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
    priority: int = 0
    timeout_s: float | None = None
