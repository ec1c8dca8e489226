"""Parity: how well outputs agree with the reference's, as numbers and as a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from inferox.core import ConfigError, ManifestError, Precision, shown

Limits = Mapping[str, float]
"""Some of the fields of a ``Tolerance`` by name, where the others are to stay as they are."""


COSINE_LIMIT = 1.001
"""The largest cosine that a file may state, with its rounding."""


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
            place: What of the file it is, for the message.

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
        max_rel: The largest difference, as a share of the reference's largest number; ``None`` where it is not limited.
        cosine_mean: The least mean cosine of corresponding vectors.
        cosine_min: The smallest cosine of any two corresponding vectors.
        order_min: The least share of decisions, arg-maxes or ranked pairs, that are the same; see ``Decisions``.
        tie: The margin, as a share of its largest number, up to which the reference decides nothing by order.
    """

    max_rel: float | None
    cosine_mean: float
    cosine_min: float
    order_min: float = 0.0
    tie: float = 0.0

    def accepts(self, agreement: Agreement) -> bool:
        """Says whether an agreement is good enough. One with NaN never is."""
        order = agreement.order(self.tie)
        return (
            (self.max_rel is None or agreement.max_rel <= self.max_rel)
            and agreement.cosine_mean >= self.cosine_mean
            and agreement.cosine_min >= self.cosine_min
            and (order is None or order >= self.order_min)
        )

    def with_limits(self, limits: Tolerance | Limits | None) -> Tolerance:
        """This tolerance, with the limits that are stated in place of its own.

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
"""The tolerance of each class. ``exact`` is what different orders of summation do to fp32; ``close`` holds for
half precision; ``quantized`` for int8. A cosine sees directions alone: the largest difference is limited as well,
so that outputs which are merely scaled do not pass.

Both see little of what is read off numbers by their order, such as the best label: large numbers that lie close
together may change places. So what the reference decides by more than a class' numbers can resolve has to stay the
same. What they cannot: 1e-5 is the largest difference of ``exact``; 2**-10 is the spacing of half precision at the
largest number, nearer than which two numbers may be one; 0.05 is a dozen spacings of int8 (2**-8), as roundings
add up over the layers. They add up in half precision as well, to 0.001 to 0.002 with encoders of two layers, of whose
closest pairs up to 1.8 % were exchanged: ``close`` allows one decision in fifty, and so none where there are fewer.
``quantized`` allows one in ten, as there single numbers may be off by far more than a tie.
"""

LEAST_CLASS = {
    Precision.FP32: ParityClass.CLOSE,
    Precision.FP16: ParityClass.CLOSE,
    Precision.BF16: ParityClass.QUANTIZED,
    Precision.INT8: ParityClass.QUANTIZED,
}
"""The class that an artifact must reach to be let into a package. ``bf16`` has 8 bits of mantissa, like ``int8``."""


@dataclass(frozen=True)
class Decisions:
    """Decisions by the order of outputs: which logit of a row is the largest, or which of two rows stands first.

    Attributes:
        margins: By how much the reference tells the two apart, as a share of the largest number of the output: its
            largest number and the one that was taken for it, or the next; shape ``[decisions]``.
        same: Whether the same was decided; shape ``[decisions]``.
    """

    margins: npt.NDArray[np.float64]
    same: npt.NDArray[np.bool_]

    def agreement(self, tie: float) -> float | None:
        """The share of decisions that are the same; ``None`` where there are none.

        Args:
            tie: The margin up to which nothing is decided.
        """
        counted = self.same[self.margins > tie]
        return float(counted.mean()) if counted.size else None


@dataclass(frozen=True)
class Agreement:
    """Measured agreement over all samples and outputs. Positions that are padding do not count.

    Attributes:
        max_abs: The largest absolute difference.
        max_rel: The largest absolute difference, as a share of the largest absolute number of that output.
        cosine_mean: The mean cosine of corresponding vectors: of each token, or of each row.
        cosine_min: The smallest cosine.
        argmax_agreement: Of all logits that the reference tells apart by more than the tie of the tolerance that they
            are held to, the share whose largest number stands in the same place; ``None`` without such.
        ranking_agreement: Of all pairs of rows of a call that the reference tells apart likewise, the share that stand
            in the same order (Kendall's tau from 0 to 1); ``None`` where nothing is ranked.
        decisions: What the two shares are of, for other ties; ``None`` where the agreement was read from a file.
    """

    max_abs: float
    max_rel: float
    cosine_mean: float
    cosine_min: float
    argmax_agreement: float | None
    ranking_agreement: float | None = None
    decisions: Decisions | None = field(default=None, compare=False, repr=False)

    def order(self, tie: float) -> float | None:
        """The share of decisions that are the same; where only one such share was recorded, that one.

        Args:
            tie: The margin up to which nothing is decided.
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
"""The agreement where outputs cannot be compared: one is missing, of another shape, or holds NaN."""

NOTHING_ALIKE = Agreement(max_abs=0.0, max_rel=0.0, cosine_mean=1.0, cosine_min=1.0, argmax_agreement=None)
"""The agreement where no output has elements, and each has the right shape: the evidence is weak then."""


def classify(agreement: Agreement, tolerance: Tolerance) -> ParityClass:
    """Finds the best class that an agreement reaches.

    Args:
        agreement: What was measured.
        tolerance: What it must reach.

    Returns:
        The class; ``fail`` where it misses the tolerance, and ``quantized`` where that allows more than any class.
    """
    if not tolerance.accepts(agreement):
        return ParityClass.FAIL
    reached = (parity_class for parity_class, needed in TOLERANCES.items() if needed.accepts(agreement))
    return next(reached, ParityClass.QUANTIZED)
