"""The one table of protocol defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Defaults:
    """The defaults of a protocol for what a request does not say.

    Attributes:
        cut: Whether texts that are too long are cut; otherwise they are refused. Responses report each cut text.
    """

    cut: bool


OPENAI = Defaults(cut=False)
"""OpenAI refuses texts that are too long."""

TEI = Defaults(cut=True)
"""text-embeddings-inference cuts them since version 1.9."""

COHERE = Defaults(cut=True)
"""Cohere cuts them at the end, in ``embed`` and ``rerank`` alike; so does Jina."""

SCORE = Defaults(cut=False)
"""vLLM's ``/score`` refuses them."""

OIP = Defaults(cut=False)
"""The Open Inference Protocol has no notion of text; inputs that a model cannot take are refused."""
