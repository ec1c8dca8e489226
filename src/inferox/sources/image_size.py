"""The size of the images that a model takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inferox.core import PackageError, read_json_object

_PREPROCESSOR_FILE = "preprocessor_config.json"
_PROCESSOR_FILE = "processor_config.json"

_LONGEST_EDGE = 8192
"""The longest edge of an image that a model may request."""


def read_image_size(directory: Path, config: Mapping[str, Any]) -> tuple[int, int]:
    """Reads the size of a model's images: the output of its preprocessor, or else what its config states.

    Args:
        directory: The folder of the model.
        config: Its ``config.json``.

    Returns:
        Height and width in pixels.

    Raises:
        ManifestError: If the preprocessor's file cannot be read.
        PackageError: If neither states a size, or it is too large.
    """
    nested = _read_preprocessor(directory / _PROCESSOR_FILE).get("image_processor")
    preprocessor = nested if isinstance(nested, dict) else _read_preprocessor(directory / _PREPROCESSOR_FILE)
    crops = preprocessor.get("do_center_crop", preprocessor.get("crop_size") is not None)
    candidates = (
        preprocessor.get("crop_size") if crops else None,
        preprocessor.get("size"),
        config.get("image_size"),
    )
    found = next(filter(None, map(_edges, candidates)), None)
    if found is None:
        raise PackageError(
            f"neither {_PREPROCESSOR_FILE} nor config.json states the size of the images that the model takes",
            hint=f"copy {_PREPROCESSOR_FILE} from the model's origin",
        )
    if max(found) > _LONGEST_EDGE:
        raise PackageError(
            f"the model's files request images of {found[0]} by {found[1]}, but edges may have at most {_LONGEST_EDGE}",
            hint=f"check the sizes in {_PREPROCESSOR_FILE} and config.json",
        )
    return found


def _read_preprocessor(path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path, hint="fetch the model again")
    except FileNotFoundError:
        return {}


def _edges(size: Any) -> tuple[int, int] | None:
    """Reads a size as files state it: a number, a pair, or edges by name; ``None`` if it is none of these."""
    if isinstance(size, dict):
        edge = size.get("shortest_edge")
        size = [size.get("height", edge), size.get("width", edge)]
    pair = size if isinstance(size, list) else [size, size]
    valid = len(pair) == 2 and all(type(extent) is int and extent > 0 for extent in pair)  # noqa: PLR2004 - a pair
    return (pair[0], pair[1]) if valid else None
