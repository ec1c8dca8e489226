"""The check of an ONNX file's content before a runtime reads it, whatever its name."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from inferox.backends.onnx.wire_format import BYTES, VARINT, WireFormatError, read_fields
from inferox.core import LoadError

_MEMORY_TAG = "_ORT_MEM_ADDR_"
"""The name in place of a file's with which ONNX Runtime passes weights within a process: the offset is an address.

OpenVINO accepts it in files too, and reads whatever is at that address (seen with 2026.4).
"""

_DEEPEST = 64
"""The deepest accepted nesting of graphs, since runtimes recurse into them."""

_MODEL_FIELDS = {1: VARINT, 5: VARINT} | dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), BYTES)
"""The fields of a ``ModelProto`` with their wire types."""

_IR_VERSION, _GRAPH, _TRAINING = 1, 7, 20

_NESTED: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse tensor",
        23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external data"},
}
"""The fields of each message whose messages may contain a tensor, by number. The names are ours."""

_EXTERNAL_KEYS = frozenset({"location", "offset", "length", "checksum"})


def check_onnx(path: Path) -> memoryview:
    """Refuses a file that is not an ONNX model, or that takes weights from anywhere but files in its folder.

    Every tensor is checked: initializers, attributes of nodes, sparse tensors, and those of nested graphs and
    functions. Nothing is computed, and weights within the file are skipped.

    Args:
        path: The file.

    Returns:
        Its bytes, mapped into memory.

    Raises:
        LoadError: If it is something else, or takes weights from elsewhere.
        OSError: If it cannot be read.
    """
    content = map_onnx(path)
    try:
        _check_model(content, path)
        _Walk(path).visit("model", content, 0)
    except WireFormatError as error:
        raise LoadError(f"{path.name} is not an ONNX model, or a damaged one: {error}") from error
    return content


def map_onnx(path: Path) -> memoryview:
    """Maps a file into memory without checking its content.

    Args:
        path: The file.

    Raises:
        LoadError: If it is empty.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise LoadError(f"{path.name} is empty, and not an ONNX model")
        # Never closed explicitly: views of it in a traceback would prevent that.
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _check_model(model: memoryview, path: Path) -> None:
    seen = set()
    for number, kind, _ in read_fields(model):
        if _MODEL_FIELDS.get(number) != kind:
            raise WireFormatError(f"a model has no field {number} of the wire type {kind}")
        seen.add(number)
    missing = {_IR_VERSION: "version", _GRAPH: "graph"}
    for number, name in missing.items():
        if number not in seen:
            raise WireFormatError(f"it has no {name}")
    if _TRAINING in seen:
        raise LoadError(
            f"{path.name} holds graphs for training, which no runtime computes here",
            hint="export the model for inference",
        )


@dataclass(frozen=True)
class _Walk:
    """A walk through all tensors of a model.

    Attributes:
        path: The file.
        locations: The files of external tensors that were checked: mostly a single file, which is checked once.
    """

    path: Path
    locations: set[str] = field(default_factory=set)

    def visit(self, name: str, message: memoryview, depth: int) -> None:
        if depth > _DEEPEST:
            raise LoadError(f"{self.path.name} nests graphs deeper than {_DEEPEST} messages")
        if name == "external data":
            self._check_entry(message)
            return
        nested = _NESTED[name]
        for number, kind, value in read_fields(message):
            inner = nested.get(number)
            if inner is None:
                continue
            if kind != BYTES or isinstance(value, int):
                raise WireFormatError(f"field {number} of a {name} has the wire type {kind}")
            self.visit(inner, value, depth + 1)

    def _check_entry(self, entry: memoryview) -> None:
        texts = {1: "", 2: ""}
        for number, kind, value in read_fields(entry):
            if number not in texts or kind != BYTES or isinstance(value, int):
                raise WireFormatError(f"external data has no field {number} of the wire type {kind}")
            texts[number] = bytes(value).decode(errors="replace")
        key, text = texts[1], texts[2]
        if key not in _EXTERNAL_KEYS:
            raise LoadError(f"{self.path.name} locates weights with {key!r}, which ONNX does not define")
        if key == "location" and text not in self.locations:
            self._check_location(text)
            self.locations.add(text)

    def _check_location(self, location: str) -> None:
        if _MEMORY_TAG in location:
            raise LoadError(
                f"{self.path.name} takes weights from an address in memory, which no file can know",
                hint="export the model again, with its weights in files",
            )
        spelt = (PurePosixPath(location), PureWindowsPath(location))
        if not location or any(each.is_absolute() or each.drive or ".." in each.parts for each in spelt):
            raise LoadError(f"{self.path.name} takes weights from outside its folder: {location!r}")
        file, folder = self.path.parent / location, self.path.parent
        try:
            linked = any(
                part.is_symlink() for part in (file, *file.parents) if part != folder and folder in part.parents
            )
        except (OSError, ValueError) as error:
            raise LoadError(
                f"{self.path.name} takes weights from {location!r}, which cannot be read: {error}"
            ) from error
        if linked:
            raise LoadError(f"{self.path.name} takes weights from behind a link, outside its folder: {location!r}")
