"""The answer to a request, and what computed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.engine.phases import Phases
from inferox.tasks.truncation import CutTokens


@dataclass(frozen=True)
class Answer:
    """The answer to a request.

    Attributes:
        results: One result per item, in their order: a list, or for ``embed`` an array of vectors.
        model: The name of the model.
        version: Its version.
        artifact: The artifact that computed all of it.
        embedding_space: The id of the space in which vectors lie; ``None`` if that is not known.
        cut_tokens: What was cut off each text; empty if the items are not texts.
        tokens: The tokens that were computed; of items without tokens as many as they count.
        parity_class: How well the artifact agreed when it was packed; ``None`` if that is not known.
        queue_s: The seconds from its coming until the first of its rows was computed, the making of rows among them.
        compute_s: The seconds from then until the last was; 0 if nothing had to be computed.
        phases: When it was done; ``None`` if that is not known.
    """

    results: Any
    model: str
    version: str
    artifact: str
    embedding_space: str | None
    cut_tokens: Sequence[CutTokens] = ()
    tokens: int = 0
    parity_class: str | None = None
    queue_s: float = field(default=0.0, compare=False)
    compute_s: float = field(default=0.0, compare=False)
    phases: Phases | None = field(default=None, compare=False)

    @property
    def truncated(self) -> npt.NDArray[np.bool_]:
        """Says for each item whether its text was cut; shape ``[n]``, bool. Empty where the items are not texts."""
        return np.array([tokens.count > 0 for tokens in self.cut_tokens], np.bool_)
