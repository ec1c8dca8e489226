"""The answer to a request, with the artifact that computed it."""

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
        results: One result per item, in order: a list, or for ``embed`` an array of vectors.
        model: The name of the model.
        version: Its version.
        artifact: The artifact that computed all of it.
        embedding_space: The id of the vectors' embedding space; ``None`` if that is not known.
        cut_tokens: The tokens cut off each text; empty if the items are not texts.
        tokens: The number of tokens computed; items without tokens count as an equivalent number.
        parity_class: The artifact's parity class from pack time; ``None`` if that is not known.
        queue_s: The seconds from its arrival until its first row was computed, including encoding.
        compute_s: The seconds from then until its last row was computed; 0 if nothing had to be computed.
        phases: The times of its phases; ``None`` if they are not known.
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
        """True where the text of an item was cut; shape ``[n]``, bool. Empty if the items are not texts."""
        return np.array([tokens.count > 0 for tokens in self.cut_tokens], np.bool_)
