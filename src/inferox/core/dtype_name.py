"""The names of data types that callers give as those of NumPy or of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np


def dtype_name(value: Any) -> str | None:
    """Returns the name of a data type, however a caller gives it.

    Args:
        value: A name, such as ``float32``; a data type of NumPy, or its scalar class; or a data type of PyTorch.

    Returns:
        The name, which need not be that of a data type that is supported; ``None`` if it is none of these, or a data
        type of another byte order than the machine's.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, type) and issubclass(value, np.generic):
        return value.__name__
    if isinstance(value, np.dtype):
        return value.name if value.isnative else None
    # PyTorch is not imported for this: whoever has one of its data types has imported it.
    kind, name = type(value), str(value)
    return name.removeprefix("torch.") if (kind.__module__, kind.__name__) == ("torch", "dtype") else None
