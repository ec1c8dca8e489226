"""The values that are compared between runtimes, in place of a model's raw outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from inferox.core import TensorSpec
from inferox.parity.measurement import find_scales
from inferox.parity.samples import SampleBatch, Samples

Arrays = Mapping[str, npt.NDArray[Any]]
"""Named tensors of a padded batch."""


@dataclass(frozen=True)
class ParityTarget:
    """The tensors that are compared between runtimes, which the model's task derives from its outputs.

    Attributes:
        specs: The compared tensors, in padded form.
        read: Derives them from a padded batch's inputs and outputs.
        ranks: Whether the rows of a call are ranked by their first number.
    """

    specs: Sequence[TensorSpec]
    read: Callable[[Arrays, Arrays], Arrays]
    ranks: bool = False

    @classmethod
    def of_outputs(cls, specs: Sequence[TensorSpec], *, ranks: bool = False) -> ParityTarget:
        """Makes a target that compares the outputs as they are."""
        return cls(specs, lambda _, outputs: outputs, ranks)

    def reference(self, samples: Samples) -> list[SampleBatch]:
        """Returns the sample calls, with the compared tensors in place of the reference's outputs."""
        return [SampleBatch(batch.inputs, self.read(batch.inputs, batch.outputs)) for batch in samples.batches]

    def scales(self, samples: Samples) -> dict[str, float]:
        """Returns the largest number of each tensor over all sample calls, relative to which differences are stated."""
        return find_scales(self.specs, self.reference(samples))
