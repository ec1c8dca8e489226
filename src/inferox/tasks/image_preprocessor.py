"""The preprocessing of images to tensors, as the model's own files state it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from inferox.core import ManifestError, RequestError
from inferox.tasks.images import MAX_PIXELS, Pixels, import_pillow, too_large
from inferox.tasks.options import optional, required

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

_LONGEST_EDGE = 8192
"""The longest edge that a package may request."""

_LARGEST_AREA = 2**24
"""The most pixels that a package may request: 64 MiB per channel of an fp32 tensor."""

_EDGES = frozenset({"height", "width"})
_SIZE_KEYS = (
    _EDGES,
    frozenset({"shortest_edge"}),
    frozenset({"shortest_edge", "longest_edge"}),
    frozenset({"max_height", "max_width"}),
)
_CHANNEL_ORDERS = ("RGB", "BGR")


class ImagePreprocessor:
    """The steps from an image to a tensor: resize, crop, rescale, normalise, pad.

    They are computed in the order and the precision of transformers' Pillow-based image processors. An image has 8 bits
    per channel until its values are scaled, so scaling is a lookup in a table of 256 results.

    Args:
        options: As ``read_image_options`` returns them; a step whose option is null or missing is skipped.

            - ``size``: the size to resize to, as ``resized_shape`` takes it, and ``resample``, Pillow's number of the
              resampling method.
            - ``first_crop_size`` and ``crop_size``: ``height`` and ``width`` of two center crops, one after the other.
            - ``rescale_factor``, and ``rescale_offset``, which is added.
            - ``mean`` and ``std``: three numbers each. ``std_again`` are three by which the result is divided.
            - ``channels``: ``RGB`` or ``BGR``.
            - ``composite_on_white``: the argument of ``read_image``.
            - ``pad_size``: ``height`` and ``width``, reached by zeros at the bottom and on the right.

    Raises:
        ManifestError: If an option is of the wrong type or value, or a pixel would become infinite or NaN.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._size = _size_option(options, "size", _SIZE_KEYS)
        self._crops = [
            crop
            for name in ("first_crop_size", "crop_size")
            if (crop := _size_option(options, name, _SIZE_KEYS[:1])) is not None
        ]
        self._pad = _size_option(options, "pad_size", _SIZE_KEYS[:1])
        self._resample = required(options, "resample", int)
        if not 0 <= self._resample <= 5:  # noqa: PLR2004 - Pillow's ways to resample
            raise ManifestError(f"'resample' must be one of Pillow's numbers from 0 to 5, but is {self._resample}")
        channels = optional(options, "channels", str) or "RGB"
        if channels not in _CHANNEL_ORDERS:
            raise ManifestError(f"'channels' must be {' or '.join(_CHANNEL_ORDERS)}, but is {channels!r}")
        self._order = [_CHANNEL_ORDERS[0].index(channel) for channel in channels]
        self._values = _scaled_values(options)
        self._composite_on_white = optional(options, "composite_on_white", bool) is True

    @property
    def composite_on_white(self) -> bool:
        """True if images are read with transparent colours composited on white; see ``read_image``."""
        return self._composite_on_white

    @property
    def keeps_proportions(self) -> bool:
        """True if images that are not square give tensors that are not square."""
        return self._size is not None and self.output_size is None

    @property
    def output_size(self) -> tuple[int, int] | None:
        """The height and width of every tensor; ``None`` if they depend on the image."""
        for size in (self._pad, *reversed(self._crops), self._size):
            if size is not None:
                return (size["height"], size["width"]) if set(size) == _EDGES else None
        return None

    @property
    def resized_edge(self) -> int | None:
        """The longer edge to which a square image is resized, before any crop; ``None`` if images are not resized."""
        return None if self._size is None else self._size.get("shortest_edge", max(self._size.values()))

    def __call__(self, image: Pixels | PillowImage, subject: str) -> npt.NDArray[np.float32]:
        """Prepares an image.

        Args:
            image: The image, as ``read_image`` returns it: an array of shape ``[height, width, 3]``, or a Pillow image
                of the mode ``RGB``.
            subject: The name of the image in messages.

        Returns:
            The tensor; shape ``[3, height, width]``, float32.

        Raises:
            RequestError: If the image is so long and narrow that it has too many pixels in between or none at the end,
                or is larger than the size to which it is padded.
        """
        pixels: Pixels = np.asarray(image if self._size is None else self._resize(image, self._size, subject))
        for crop in self._crops:
            pixels = _crop_centre(pixels, crop["height"], crop["width"])
        height, width = pixels.shape[:2] if self._pad is None else (self._pad["height"], self._pad["width"])
        if height < pixels.shape[0] or width < pixels.shape[1]:
            raise RequestError(
                f"{subject} is {pixels.shape[0]} by {pixels.shape[1]}, but the model pads it to {height} by {width}"
            )
        if height * width > _LARGEST_AREA:
            raise RequestError(
                f"{subject} becomes {height} by {width}, but at most {_LARGEST_AREA} pixels are computed",
                hint="scale it down first",
            )
        tensor = np.zeros((3, height, width), dtype=np.float32)
        for place, channel in enumerate(self._order):
            tensor[place, : pixels.shape[0], : pixels.shape[1]] = self._values[channel][pixels[..., channel]]
        return tensor

    def _resize(self, image: Pixels | PillowImage, size: Mapping[str, int], subject: str) -> PillowImage:
        opened: PillowImage = import_pillow().fromarray(image) if isinstance(image, np.ndarray) else image
        width, height = opened.size
        new_height, new_width = resized_shape(height, width, size)
        if not new_height or not new_width:
            raise RequestError(f"{subject} is too long and narrow: {height} by {width} leaves no pixel")
        # Pillow resizes the rows first, then the columns of the result.
        half_way = height * new_width
        if half_way > MAX_PIXELS or new_height * new_width > _LARGEST_AREA:
            found = f"{height} by {width} is resized to {new_height} by {new_width}"
            raise too_large(subject, found, MAX_PIXELS if half_way > MAX_PIXELS else _LARGEST_AREA)
        return opened.resize((new_width, new_height), resample=self._resample)


def resized_shape(height: int, width: int, size: Mapping[str, int]) -> tuple[int, int]:
    """Computes the height and width of a resized image, with the arithmetic of transformers.

    Args:
        height: Its height.
        width: Its width.
        size: ``height`` and ``width`` themselves; or, keeping the proportions, ``shortest_edge``, the same with
            ``longest_edge`` as a limit, or ``max_height`` and ``max_width``.

    Returns:
        Height and width; 0 if the proportions leave no pixel.
    """
    if "height" in size:
        return size["height"], size["width"]
    if "max_height" in size:
        scale = min(size["max_height"] / height, size["max_width"] / width)
        return int(height * scale), int(width * scale)
    short, long = min(height, width), max(height, width)
    edge, exact = size["shortest_edge"], None
    if "longest_edge" in size and long / short * edge > size["longest_edge"]:
        exact = size["longest_edge"] * short / long
        edge = round(exact)
    if short == edge:
        return height, width
    other = int((edge if exact is None else exact) * long / short)
    return (edge, other) if height <= width else (other, edge)


def _scaled_values(options: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Computes the table of results for the 256 values of each channel; shape ``[3, 256]``, float32."""
    factor = optional(options, "rescale_factor", float)
    offset = optional(options, "rescale_offset", float)
    mean, std, std_again = (_channel_numbers(options, name) for name in ("mean", "std", "std_again"))
    if (mean is None) != (std is None):
        raise ManifestError("'mean' and 'std' must be given together, but only one of them is")
    values = np.tile(np.arange(256, dtype=np.float32), (3, 1))
    with np.errstate(all="ignore"):
        if factor is not None:
            values = (np.tile(np.arange(256, dtype=np.float64), (3, 1)) * factor).astype(np.float32)
        if offset is not None:
            values = values + np.float32(offset)
        if mean is not None and std is not None:
            values = (values - mean[:, None]) / std[:, None]
        if std_again is not None:
            values = values / std_again[:, None]
    if not np.isfinite(values).all():
        raise ManifestError(
            "'rescale_factor', 'mean' and 'std' give values beyond fp32: "
            f"{factor}, {None if mean is None else mean.tolist()} and {None if std is None else std.tolist()}"
        )
    return values


def _crop_centre(pixels: Pixels, height: int, width: int) -> Pixels:
    """Crops the center; a smaller image is padded with black first."""
    before = [
        max(0, ceil((wanted - extent) / 2)) for wanted, extent in zip((height, width), pixels.shape, strict=False)
    ]
    after = [
        max(0, wanted - extent - front)
        for wanted, extent, front in zip((height, width), pixels.shape, before, strict=False)
    ]
    # Cropping comes first, so that padding a long and narrow image takes no memory.
    top, left = (max(0, (extent - wanted) // 2) for extent, wanted in zip(pixels.shape, (height, width), strict=False))
    kept = pixels[top : top + height, left : left + width]
    return np.pad(kept, [*zip(before, after, strict=True), (0, 0)]) if any(before + after) else kept


def _size_option(options: Mapping[str, Any], name: str, allowed: tuple[frozenset[str], ...]) -> dict[str, int] | None:
    size = optional(options, name, dict)
    if size is None:
        return None
    valid = set(size) in allowed and all(type(edge) is int and 0 < edge <= _LONGEST_EDGE for edge in size.values())
    if not valid or (len(size) > 1 and math.prod(size.values()) > _LARGEST_AREA):
        expected = " or ".join(" and ".join(sorted(keys)) for keys in allowed)
        raise ManifestError(
            f"{name!r} must give {expected} in pixels, at most {_LONGEST_EDGE} and {_LARGEST_AREA} together, "
            f"but is {size}"
        )
    return size


def _channel_numbers(options: Mapping[str, Any], name: str) -> npt.NDArray[np.float32] | None:
    values = optional(options, name, list)
    if values is None:
        return None
    largest = float(np.finfo(np.float32).max)
    valid = len(values) == 3 and all(  # noqa: PLR2004 - RGB
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= largest for value in values
    )
    if not valid:
        raise ManifestError(f"{name!r} must be three finite numbers, but is {values}")
    numbers = np.array(values, dtype=np.float32)
    if name != "mean" and not (numbers > 0).all():
        raise ManifestError(f"{name!r} must be numbers above 0, but is {values}")
    return numbers
