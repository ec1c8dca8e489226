"""The one table of what protocols take for granted where a request says nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Defaults:
    """What a protocol takes for granted.

    Attributes:
        cut: Whether texts that are too long are cut; otherwise they are refused. Answers tell of each that was cut.
    """

    cut: bool


OPENAI = Defaults(cut=False)
"""OpenAI refuses texts that are too long."""

TEI = Defaults(cut=True)
"""text-embeddings-inference cuts them since its version 1.9."""

COHERE = Defaults(cut=True)
"""Cohere cuts them at their end, in ``embed`` as in ``rerank``; Jina does as well."""

SCORE = Defaults(cut=False)
"""vLLM's ``/score`` refuses them."""

OIP = Defaults(cut=False)
"""The Open Inference Protocol knows no texts; what a model cannot take is refused."""
