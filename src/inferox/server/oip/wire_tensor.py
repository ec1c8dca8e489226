"""Tensors of requests and responses."""

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
"""The most axes of a NumPy array."""

_MAX_ELEMENTS = 2**40
"""The most elements of a shape: more than any body holds, and far below where sizes overflow."""


@dataclass(frozen=True)
class WireTensor:
    """A named tensor.

    Attributes:
        name: Its name.
        datatype: The type of its elements on the wire.
        array: The elements, with dtype ``datatype.numpy_dtype``; for BYTES, ``bytes`` objects.
    """

    name: str
    datatype: Datatype
    array: npt.NDArray[Any]


def read_datatype(given: str, subject: str) -> Datatype:
    """Parses the name of a datatype.

    Args:
        given: The name.
        subject: The name of the tensor in errors, such as ``input 'x'``.

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
    """Returns the number of elements of a shape.

    Args:
        shape: The extent of each axis.
        subject: The name of the tensor in errors.

    Raises:
        FieldError: If no tensor can have that shape.
    """
    if len(shape) > _MAX_AXES:
        raise FieldError("shape", f"{subject} may have {_MAX_AXES} axes, but has {len(shape)}")
    # With a zero among the extents, the others could still exceed the limits of an array.
    if any(extent < 0 for extent in shape) or prod(extent or 1 for extent in shape) > _MAX_ELEMENTS:
        raise FieldError(
            "shape",
            f"{subject} must have extents of 0 or more, and at most {_MAX_ELEMENTS:,} elements, but has the shape "
            f"{shown(list(shape))}",
        )
    return prod(shape)
