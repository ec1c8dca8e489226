"""The forms in which vectors are returned: truncated, scaled to unit length, and in smaller data types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from inferox.core import ConfigError, RequestError, counted, dtype_name, positive_integer
from inferox.tasks.embed_modules import SHORTEST, Normalise

VectorType = Literal["float32", "float16", "int8", "binary", "ubinary"]
"""The data types in which vectors are returned."""

VECTOR_TYPES: tuple[str, ...] = get_args(VectorType)

_INT8 = 127


@dataclass(frozen=True)
class VectorForm:
    """The transformations of vectors before they are returned, applied in the order of the attributes.

    Each vector is transformed by itself, so that it does not depend on the rest of the request.

    Attributes:
        truncate_dim: The number of leading components to keep, for models that were trained for it (Matryoshka);
            ``None`` for all.
        normalize: Whether vectors are scaled to unit length, after truncation.
        dtype: ``float32``; ``float16``, rounded; ``int8``, scaled so that the number farthest from 0 is 127 or -127,
            which keeps directions, and so cosines, but not lengths; or one bit per number, 1 where it is greater than
            0, packed eight to a byte, the first in the highest bit: ``ubinary`` as uint8, and ``binary`` as int8, which
            is the former less 128, both as in sentence-transformers. The first three may also be given as data types
            of NumPy or PyTorch, such as ``np.float16``.

    Raises:
        ConfigError: If a value is not one of these.
    """

    truncate_dim: int | None = None
    normalize: bool = False
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        named = dtype_name(self.dtype)
        if named not in VECTOR_TYPES:
            raise ConfigError(f"dtype must be one of {', '.join(VECTOR_TYPES)}, but is {self.dtype!r}")
        object.__setattr__(self, "dtype", named)
        if not isinstance(self.normalize, bool):
            raise ConfigError(f"normalize must be True or False, but is {self.normalize!r}")
        if self.truncate_dim is not None:
            object.__setattr__(self, "truncate_dim", positive_integer("truncate_dim", self.truncate_dim))

    def check_dimension(self, dimension: int) -> None:
        """Checks that vectors can be given this form, so that a caller need not compute them first.

        Args:
            dimension: The length of the vectors.

        Raises:
            RequestError: If ``truncate_dim`` is greater than that.
        """
        if self.truncate_dim is not None and self.truncate_dim > dimension:
            raise RequestError(
                f"truncate_dim is {self.truncate_dim}, but the vectors have {counted(dimension, 'number')}",
                hint=f"give at most {dimension}",
            )

    def apply(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Converts vectors to this form.

        Args:
            vectors: Shape ``[n, dimension]``, float32.

        Returns:
            Shape ``[n, truncate_dim]`` or ``[n, dimension]``; for ``binary`` and ``ubinary`` an eighth of that, rounded
            up, with the last bits 0. The same memory if there is nothing to do.

        Raises:
            RequestError: If ``truncate_dim`` is greater than the dimension.
        """
        self.check_dimension(vectors.shape[1])
        if self.truncate_dim is not None:
            vectors = np.ascontiguousarray(vectors[:, : self.truncate_dim])
        if self.normalize:
            vectors = Normalise()(vectors)
        formed: npt.NDArray[Any] = _CASTS[self.dtype](vectors)
        return formed


def _to_int8(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=SHORTEST)
    scaled: npt.NDArray[np.int8] = np.rint(vectors * (_INT8 / largest)).astype(np.int8)
    return scaled


def _to_bits(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return np.packbits(vectors > 0, axis=1)


_CASTS: dict[str, Any] = {
    "float32": lambda vectors: vectors,
    "float16": lambda vectors: vectors.astype(np.float16),
    "int8": _to_int8,
    "binary": lambda vectors: (_to_bits(vectors).astype(np.int16) - 128).astype(np.int8),
    "ubinary": _to_bits,
}
