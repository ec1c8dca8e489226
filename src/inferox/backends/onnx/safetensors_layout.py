"""The location of each tensor in a safetensors file: raw little-endian numbers at known offsets."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Place:
    """The location of a tensor's bytes in a file.

    Attributes:
        file: The file.
        offset_bytes: The offset of the first byte.
        length_bytes: The number of bytes.
        shape: The tensor's shape.
    """

    file: Path
    offset_bytes: int
    length_bytes: int
    shape: tuple[int, ...]

    def holds(self, data: bytes | memoryview) -> bool:
        """Returns whether these are the tensor's bytes. The file is read in chunks, as a table may be a gigabyte.

        Args:
            data: The bytes to compare with.
        """
        if len(data) != self.length_bytes:
            return False
        with self.file.open("rb") as stream:
            stream.seek(self.offset_bytes)
            return all(
                stream.read(min(_PIECE_BYTES, len(data) - begin)) == data[begin : begin + _PIECE_BYTES]
                for begin in range(0, len(data), _PIECE_BYTES)
            )


def read_places(path: Path) -> dict[str, Place]:
    """Reads the location of each tensor in a safetensors file, under each of its names.

    The file begins with the length of a JSON header (8 bytes, little-endian) and the header, followed by the tensors at
    the offsets that it states. Tensors that share memory are stored once; the metadata maps the names of the others to
    the stored one.

    Args:
        path: The file.
    """
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    aliases = header.pop("__metadata__", {})
    places = {
        name: Place(path, 8 + length + begin, end - begin, tuple(entry["shape"]))
        for name, entry in header.items()
        for begin, end in [entry["data_offsets"]]
    }
    return places | {name: places[kept] for name, kept in aliases.items() if kept in places}
