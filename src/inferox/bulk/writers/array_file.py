"""NumPy files, which hold only the answers."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from inferox.bulk.writers.writer import TRUNCATED, Schema, Writer


class ArrayWriter(Writer):
    """A ``.npy`` file with an array of vectors, shape ``[rows, numbers]``, or of scores, shape ``[rows]``, float32.

    Args:
        path: The file.
        schema: The schema of all parts: without kept columns, and without errors.
    """

    def __init__(self, path: Path, schema: Schema) -> None:  # noqa: ARG002 - as all writers are opened
        self._stream = path.open("wb")
        self._rows = 0
        self._like: npt.NDArray[Any] | None = None

    def write(self, columns: Mapping[str, Any], errors: list[str | None]) -> None:  # noqa: ARG002 - there are none
        """Writes the answers; see ``Writer``."""
        (answers,) = (column for name, column in columns.items() if name != TRUNCATED)
        array = answers if isinstance(answers, np.ndarray) else np.array(answers, np.float32)
        if self._like is None:
            self._like = array[:0]
            _write_header(self._stream, self._like, 0)
        self._rows += len(array)
        self._stream.write(np.ascontiguousarray(array).tobytes())

    def close(self) -> None:
        """Completes the header with the number of rows, and closes the file."""
        if self._like is not None and not self._stream.closed:
            self._stream.seek(0)
            _write_header(self._stream, self._like, self._rows)
        self._stream.close()


def merge_arrays(parts: Sequence[Path], target: Path) -> None:
    """Concatenates arrays.

    Args:
        parts: The files of the parts; at least one.
        target: The file to write.

    Raises:
        OSError: If a file cannot be read or written.
    """
    arrays = [np.load(part, mmap_mode="r") for part in parts]
    with target.open("wb") as out:
        _write_header(out, arrays[0], sum(map(len, arrays)))
        for part, array in zip(parts, arrays, strict=True):
            with part.open("rb") as stream:
                stream.seek(part.stat().st_size - array.nbytes)
                shutil.copyfileobj(stream, out)


def _write_header(stream: BinaryIO, like: npt.NDArray[Any], rows: int) -> None:
    """Writes a header whose length does not depend on the number of rows: NumPy leaves room for growth."""
    shape = (rows, *like.shape[1:])
    header = {"descr": np.lib.format.dtype_to_descr(like.dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
