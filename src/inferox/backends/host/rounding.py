"""Rounding to types narrower than fp32, for libraries that can only convert by way of fp32."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def round_to_odd(wide: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Narrows to fp32 so that a second rounding, to ``f16`` or ``bf16``, gives the same result as a single one.

    When rounded to nearest twice, a number may end up on the wrong side, if the first rounding turns it into a tie.
    Here every number that fp32 cannot represent becomes the neighbour whose last bit is 1, which is never a tie of a
    type with at least two bits less.

    Source: S. Boldo and G. Melquiond, "Emulation of a FMA and Correctly Rounded Sums: Proved Algorithms Using Rounding
    to Odd", IEEE Transactions on Computers 57 (4), 2008.

    Args:
        wide: Numbers in double precision; infinities and NaN are preserved.

    Returns:
        Numbers of the same shape; finite ones beyond the range of fp32 become its largest.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        nearest = np.asarray(wide).astype(np.float32)
    # Without the sign, the bits order magnitudes: one less is the neighbour towards zero.
    bits = nearest.view(np.uint32)
    np.subtract(bits, 1, out=bits, where=np.abs(nearest) > np.abs(wide))
    np.bitwise_or(bits, 1, out=bits, where=nearest != wide)
    return nearest


def to_bf16_bits(wide: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
    """Rounds once to the nearest ``bf16``, with ties to even.

    Args:
        wide: Numbers in double precision; infinities are preserved, and NaN becomes a quiet NaN of the same sign.

    Returns:
        The bits, in the same shape; int16.
    """
    odd = round_to_odd(wide)
    bits = odd.view(np.uint32)
    nearest = (bits + (0x7FFF + (bits >> 16 & 1))) >> 16
    return np.where(np.isnan(odd), bits >> 16 | 0x40, nearest).astype(np.uint16).view(np.int16)
