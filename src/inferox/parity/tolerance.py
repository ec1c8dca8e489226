"""Parity: the agreement of outputs with the reference's, as numbers and as a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from inferox.core import ConfigError, ManifestError, Precision, shown

Limits = Mapping[str, float]
"""Some of the fields of a ``Tolerance`` by name; the others stay as they are."""


COSINE_LIMIT = 1.001
"""The largest cosine that a file may state, which allows for rounding."""


class ParityClass(StrEnum):
    """The classes of agreement, from best to worst."""

    EXACT = "exact"
    CLOSE = "close"
    QUANTIZED = "quantized"
    FAIL = "fail"

    @classmethod
    def read(cls, name: str, place: str) -> ParityClass:
        """Reads a class from a file.

        Args:
            name: Its name.
            place: Its place in the file, for the error.

        Raises:
            ManifestError: If there is no such class.
        """
        try:
            return cls(name)
        except ValueError:
            known = ", ".join(item.value for item in cls)
            raise ManifestError(f"{place} must be one of {known}, but is {shown(name)}") from None


@dataclass(frozen=True)
class Tolerance:
    """The limits of a class.

    Attributes:
        max_rel: The largest difference, as a share of the reference's largest number; ``None`` for no limit.
        cosine_mean: The lowest mean cosine of corresponding vectors.
        cosine_min: The lowest cosine of any two corresponding vectors.
        order_min: The lowest share of decisions, arg-maxes or ranked pairs, that agree; see ``Decisions``.
        tie: The margin, as a share of its largest number, up to which the reference's order counts as undecided.
    """

    max_rel: float | None
    cosine_mean: float
    cosine_min: float
    order_min: float = 0.0
    tie: float = 0.0

    def accepts(self, agreement: Agreement) -> bool:
        """Returns whether an agreement is good enough. One with NaN never is."""
        order = agreement.order(self.tie)
        return (
            (self.max_rel is None or agreement.max_rel <= self.max_rel)
            and agreement.cosine_mean >= self.cosine_mean
            and agreement.cosine_min >= self.cosine_min
            and (order is None or order >= self.order_min)
        )

    def with_limits(self, limits: Tolerance | Limits | None) -> Tolerance:
        """Returns this tolerance with some limits replaced.

        Args:
            limits: Some limits by name, or a whole tolerance; ``None`` for no change.

        Raises:
            ConfigError: If a name is not that of a limit.
        """
        if isinstance(limits, Tolerance):
            return limits
        names = [item.name for item in fields(self)]
        for name in limits or ():
            if name not in names:
                raise ConfigError(f"a tolerance has no limit {name!r}", hint=f"use {', '.join(names)}")
        return replace(self, **(limits or {}))


TOLERANCES = {
    ParityClass.EXACT: Tolerance(max_rel=1e-5, cosine_mean=0.999999, cosine_min=0.999999, order_min=1.0, tie=1e-5),
    ParityClass.CLOSE: Tolerance(max_rel=0.02, cosine_mean=0.9999, cosine_min=0.9999, order_min=0.98, tie=2**-10),
    ParityClass.QUANTIZED: Tolerance(max_rel=0.5, cosine_mean=0.995, cosine_min=0.98, order_min=0.9, tie=0.05),
}
"""The tolerance of each class. ``exact`` allows for different orders of summation in fp32, ``close`` for half
precision, and ``quantized`` for int8. The cosine measures only direction, so the largest difference is limited as
well, and outputs that are merely scaled do not pass.

Both say little about decisions by order, such as the best label: large numbers that are close together may change
places. So every decision that the reference makes by more than a class can resolve must stay the same. The ties are
what a class cannot resolve: 1e-5 is the largest difference of ``exact``; 2**-10 is the spacing of half precision at the
largest number, so that closer numbers may become equal; 0.05 is a dozen spacings of int8 (2**-8), as rounding errors
add up over the layers. They add up in half precision as well, to 0.001 to 0.002 in encoders of two layers, where up to
1.8% of the closest pairs were exchanged: ``close`` allows one decision in fifty to differ, and so none if there are
fewer. ``quantized`` allows one in ten, as single numbers may be off by far more than a tie there.
"""

LEAST_CLASS = {
    Precision.FP32: ParityClass.CLOSE,
    Precision.FP16: ParityClass.CLOSE,
    Precision.BF16: ParityClass.QUANTIZED,
    Precision.INT8: ParityClass.QUANTIZED,
}
"""The class that an artifact must reach to enter a package. ``bf16`` has 8 bits of mantissa, like ``int8``."""


@dataclass(frozen=True)
class Decisions:
    """Decisions by the order of outputs: which logit of a row is the largest, or which of two rows ranks first.

    Attributes:
        margins: The difference in the reference between the two numbers compared, as a share of the output's largest
            number: between its largest number and the one taken for it, or the next; shape ``[decisions]``.
        same: Whether the decision is the same; shape ``[decisions]``.
    """

    margins: npt.NDArray[np.float64]
    same: npt.NDArray[np.bool_]

    def agreement(self, tie: float) -> float | None:
        """Computes the share of decisions that are the same; ``None`` if there are none.

        Args:
            tie: The margin up to which a decision does not count.
        """
        counted = self.same[self.margins > tie]
        return float(counted.mean()) if counted.size else None


@dataclass(frozen=True)
class Agreement:
    """Measured agreement over all samples and outputs. Padding does not count.

    Attributes:
        max_abs: The largest absolute difference.
        max_rel: The largest absolute difference, as a share of the largest absolute number of that output.
        cosine_mean: The mean cosine of corresponding vectors: of each token, or of each row.
        cosine_min: The smallest cosine.
        argmax_agreement: The share of rows of logits whose largest number is in the same place, among those that the
            reference decides by more than the tolerance's tie; ``None`` if there are none.
        ranking_agreement: The share of pairs of rows of a call that are in the same order, among those that the
            reference decides likewise (Kendall's tau from 0 to 1); ``None`` if nothing is ranked.
        decisions: The decisions behind the two shares, for other ties; ``None`` if the agreement was read from a file.
    """

    max_abs: float
    max_rel: float
    cosine_mean: float
    cosine_min: float
    argmax_agreement: float | None
    ranking_agreement: float | None = None
    decisions: Decisions | None = field(default=None, compare=False, repr=False)

    def order(self, tie: float) -> float | None:
        """Computes the share of decisions that are the same; if only the share itself was recorded, returns that.

        Args:
            tie: The margin up to which a decision does not count.
        """
        if self.decisions is not None:
            return self.decisions.agreement(tie)
        return self.argmax_agreement if self.ranking_agreement is None else self.ranking_agreement

    def __str__(self) -> str:
        shares = {"arg-max": self.argmax_agreement, "ranking": self.ranking_agreement}
        return (
            f"max abs difference {self.max_abs:.2g}, relative {self.max_rel:.2g}, "
            f"cosine mean {self.cosine_mean:.6f}, min {self.cosine_min:.6f}"
        ) + "".join(f", {name} {share:.1%}" for name, share in shares.items() if share is not None)


DISAGREEMENT = Agreement(
    max_abs=float("inf"), max_rel=float("inf"), cosine_mean=-1.0, cosine_min=-1.0, argmax_agreement=None
)
"""The agreement of outputs that cannot be compared: one is missing, has another shape, or holds NaN."""

NOTHING_ALIKE = Agreement(max_abs=0.0, max_rel=0.0, cosine_mean=1.0, cosine_min=1.0, argmax_agreement=None)
"""The agreement of outputs of the right shapes without elements: such evidence is weak."""


def classify(agreement: Agreement, tolerance: Tolerance) -> ParityClass:
    """Finds the best class that an agreement reaches.

    Args:
        agreement: The measured agreement.
        tolerance: The tolerance that it must meet.

    Returns:
        The class; ``fail`` if it misses the tolerance, and ``quantized`` if the tolerance allows more than any class.
    """
    if not tolerance.accepts(agreement):
        return ParityClass.FAIL
    reached = (parity_class for parity_class, needed in TOLERANCES.items() if needed.accepts(agreement))
    return next(reached, ParityClass.QUANTIZED)
