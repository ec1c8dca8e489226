"""Tensors as they are on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy.typing as npt

from inferox.core import shown
from inferox.server.field_error import FieldError
from inferox.server.oip.datatype import Datatype

_MAX_AXES = 64
"""The most axes that NumPy's arrays have."""

_MAX_ELEMENTS = 2**40
"""How many elements a shape may speak of: what no body holds, and still far from where sizes overflow."""


@dataclass(frozen=True)
class WireTensor:
    """A named tensor.

    Attributes:
        name: Its name.
        datatype: The type of its elements on the wire.
        array: The elements, of ``datatype.numpy_dtype``: of BYTES as objects of the type ``bytes``.
    """

    name: str
    datatype: Datatype
    array: npt.NDArray[Any]


def read_datatype(given: str, subject: str) -> Datatype:
    """Reads the name of a data type.

    Args:
        given: The name.
        subject: What the error says is wrong, such as ``input 'x'``.

    Raises:
        FieldError: If there is none of that name.
    """
    try:
        return Datatype(given)
    except ValueError:
        raise FieldError(
            "datatype", f"{subject} must have one of the data types {', '.join(Datatype)}, but has {shown(given)}"
        ) from None


def count_elements(shape: Sequence[int], subject: str) -> int:
    """The number of elements that a shape has.

    Args:
        shape: The extent of each axis.
        subject: What the error says is wrong.

    Raises:
        FieldError: If there cannot be such a tensor.
    """
    if len(shape) > _MAX_AXES:
        raise FieldError("shape", f"{subject} may have {_MAX_AXES} axes, but has {len(shape)}")
    # With a zero among them, the others could still be more than an array can have.
    if any(extent < 0 for extent in shape) or prod(extent or 1 for extent in shape) > _MAX_ELEMENTS:
        raise FieldError(
            "shape",
            f"{subject} must have extents of 0 or more, and at most {_MAX_ELEMENTS:,} elements, but has the shape "
            f"{shown(list(shape))}",
        )
    return prod(shape)
