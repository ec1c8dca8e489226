"""The period in which one artifact computes the requests for a model."""

from __future__ import annotations

from dataclasses import dataclass

from inferox.core import ModelMetadata


@dataclass(frozen=True, eq=False)
class Shift:
    """The period in which one artifact computes the requests for a model: all of a request is computed in one.

    Attributes:
        number: Its number, in the order in which shifts begin.
        metadata: The metadata of the artifact.
    """

    number: int
    metadata: ModelMetadata
