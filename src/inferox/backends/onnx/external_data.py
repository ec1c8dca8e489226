"""The check of the location of weights beside a graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from onnx import ModelProto, TensorProto
from onnx.external_data_helper import ExternalDataInfo

from inferox.core import IntegrityError, UnsafePathError


def check_external_data(graph: ModelProto, folder: Path) -> None:
    """Refuses weights outside the folder of the graph, links, and ranges that a file does not have.

    Args:
        graph: The graph, without its external data.
        folder: The folder of the graph.

    Raises:
        UnsafePathError: If a weight is outside the folder, or a link.
        IntegrityError: If a file is missing or shorter than a weight states; or if a weight states no range of bytes.
    """
    for tensor in _external(graph):
        try:
            info = ExternalDataInfo(tensor)
        except ValueError as error:
            raise IntegrityError(f"the weight {tensor.name!r} states no range of bytes: {error}") from error
        offset, length = info.offset or 0, info.length or 0
        if offset < 0 or length < 0:  # which onnx before 1.20 lets pass
            raise IntegrityError(
                f"the weight {tensor.name!r} states no range of bytes: offset {offset}, length {length}"
            )
        if _leaves(info.location):
            raise UnsafePathError(f"the weight {tensor.name!r} lies outside the folder of its graph: {info.location!r}")
        path = folder / info.location
        try:
            linked = any(
                part.is_symlink() for part in (path, *path.parents) if part.is_relative_to(folder) and part != folder
            )
            size = path.stat().st_size if path.is_file() else None
        except OSError as error:
            raise IntegrityError(
                f"the file with the weight {tensor.name!r} cannot be read: {error.strerror}"
            ) from error
        if linked:
            raise UnsafePathError(f"the weight {tensor.name!r} lies behind a link: {info.location!r}")
        if size is None:
            raise IntegrityError(f"the file {info.location!r} with the weight {tensor.name!r} is missing")
        if (end := offset + length) > size:
            raise IntegrityError(
                f"the weight {tensor.name!r} ends at byte {end:,} of {info.location!r}, which has {size:,}",
                hint="fetch the file again",
            )


def _external(graph: ModelProto) -> Iterator[TensorProto]:
    return (item for item in graph.graph.initializer if item.data_location == TensorProto.EXTERNAL)


def _leaves(location: str) -> bool:
    """Returns whether a path is absolute or contains ``..``, on any system."""
    paths = (PurePosixPath(location), PureWindowsPath(location))
    return not location or any(path.is_absolute() or ".." in path.parts or path.drive for path in paths)
