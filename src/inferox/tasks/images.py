"""Images to tensors, as the model's own files say."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from inferox.core import ConfigError, ManifestError, RequestError
from inferox.tasks.options import optional, required

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

Pixels = npt.NDArray[np.uint8]
"""An image: shape ``[height, width, 3]``, red, green and blue."""

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""The formats that are read. Pillow knows more, some of which start other programs."""

_MOST_PIXELS = 89_478_485
"""The most pixels of an image, also after resizing: 256 MiB of red, green and blue."""

_LONGEST_EDGE = 8192
"""The longest edge that a package may ask for."""

_SIZE_KEYS = ({"height", "width"}, {"shortest_edge"}, {"longest_edge"}, {"shortest_edge", "longest_edge"})


def read_image(image: Any, subject: str) -> Pixels:
    """Reads an image.

    Where a picture has transparent parts, they become white. How a camera was held (EXIF) is left aside, as it was when
    the models learned.

    Args:
        image: A path, the bytes of a file, a Pillow image, or an array of shape ``[height, width, 3]``, uint8. A path
            is opened on this machine: never pass on a text that came over a network.
        subject: What messages call it, such as ``image 3``.

    Raises:
        RequestError: If it is none of these, cannot be read, or has too many pixels.
        ConfigError: If Pillow is missing.
    """
    if isinstance(image, np.ndarray):
        return _check_array(image, subject)
    pillow = _import_pillow()
    if isinstance(image, pillow.Image):
        _check_pixels(image.width, image.height, subject)
        return _to_rgb(image, subject)
    if isinstance(image, str | Path):
        try:
            image = Path(image).read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise RequestError(f"{subject} cannot be read: {reason}") from error
    if not isinstance(image, bytes):
        raise RequestError(
            f"{subject} must be a path, bytes, a Pillow image or an array, and is of the type {type(image).__name__}"
        )
    try:
        opened = pillow.open(BytesIO(image), formats=_FORMATS)
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise _too_large(subject, str(error)) from error
    except Exception as error:  # a damaged file makes Pillow's readers raise whatever they stumble over
        raise RequestError(f"{subject} is no image that can be read ({', '.join(_FORMATS)})") from error
    _check_pixels(opened.width, opened.height, subject)
    return _to_rgb(opened, subject)


class ImagePreprocessor:
    """The steps from an image to a tensor: resize, crop, rescale, normalise.

    Args:
        options: ``size``, ``resample``, ``crop_size``, ``rescale_factor``, ``mean`` and ``std``, as
            ``read_image_options`` gives them; a step that is null is left out.

    Raises:
        ManifestError: If an option is of the wrong type or value.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._size = _size_option(options, "size", _SIZE_KEYS)
        self._crop = _size_option(options, "crop_size", _SIZE_KEYS[:1])
        self._resample = required(options, "resample", int)
        if not 0 <= self._resample <= 5:  # noqa: PLR2004 - Pillow's ways to resample
            raise ManifestError(f"'resample' must be one of Pillow's numbers from 0 to 5, and is {self._resample}")
        self._factor = optional(options, "rescale_factor", float)
        self._mean, self._std = (_channels(options, name) for name in ("mean", "std"))
        if self._std is not None and not (self._std > 0).all():
            raise ManifestError(f"'std' must be numbers above 0, and is {self._std.tolist()}")

    def __call__(self, pixels: Pixels, subject: str) -> npt.NDArray[np.float32]:
        """Prepares an image.

        Args:
            pixels: The image; shape ``[height, width, 3]``.
            subject: What messages call it.

        Returns:
            The tensor; shape ``[3, height, width]``, float32.

        Raises:
            RequestError: If the image is so long and narrow that it has too many pixels once resized.
        """
        if self._size is not None:
            pixels = self._resize(pixels, self._size, subject)
        if self._crop is not None:
            pixels = _crop_centre(pixels, self._crop["height"], self._crop["width"])
        values = pixels.astype(np.float32)
        if self._factor is not None:
            values = (pixels.astype(np.float64) * self._factor).astype(np.float32)
        if self._mean is not None and self._std is not None:
            values = (values - self._mean) / self._std
        return np.ascontiguousarray(values.transpose(2, 0, 1))

    def _resize(self, pixels: Pixels, size: Mapping[str, int], subject: str) -> Pixels:
        height, width = resized_shape(pixels.shape[0], pixels.shape[1], size)
        if height * width > _MOST_PIXELS:
            raise _too_large(subject, f"resized to {height} by {width}")
        pillow = _import_pillow()
        resized: Pixels = np.asarray(pillow.fromarray(pixels).resize((width, height), resample=self._resample))
        return resized


def resized_shape(height: int, width: int, size: Mapping[str, int]) -> tuple[int, int]:
    """The height and width of an image once resized.

    Args:
        height: Its height.
        width: Its width.
        size: ``height`` and ``width`` themselves; or ``shortest_edge``, ``longest_edge`` or both, which keep the
            proportions: with both, the longest edge is a limit.
    """
    if "height" in size:
        return size["height"], size["width"]
    short, long = min(height, width), max(height, width)
    if "shortest_edge" not in size:
        new_long = size["longest_edge"]
        new_short = max(1, int(new_long * short / long))
    elif "longest_edge" in size and long / short * size["shortest_edge"] > size["longest_edge"]:
        exact = size["longest_edge"] * short / long
        new_short, new_long = max(1, round(exact)), int(exact * long / short)
    else:
        new_short = size["shortest_edge"]
        new_long = int(new_short * long / short)
    return (new_short, new_long) if height <= width else (new_long, new_short)


def _crop_centre(pixels: Pixels, height: int, width: int) -> Pixels:
    """Cuts out the middle; an image that is smaller is set on black first."""
    before = [
        max(0, ceil((wanted - extent) / 2)) for wanted, extent in zip((height, width), pixels.shape, strict=False)
    ]
    after = [
        max(0, wanted - extent - front)
        for wanted, extent, front in zip((height, width), pixels.shape, before, strict=False)
    ]
    padded = np.pad(pixels, [*zip(before, after, strict=True), (0, 0)]) if any(before + after) else pixels
    top, left = (padded.shape[0] - height) // 2, (padded.shape[1] - width) // 2
    return padded[top : top + height, left : left + width]


def _import_pillow() -> Any:
    try:
        import PIL.Image as pillow  # noqa: N813 - the library, by its name
    except ImportError as error:
        raise ConfigError("reading images needs Pillow", hint="pip install 'inferox[images]'") from error
    return pillow


def _to_rgb(image: PillowImage, subject: str) -> Pixels:
    pillow = _import_pillow()
    try:
        if "A" in image.getbands() or image.info.get("transparency") is not None:
            coloured = image.convert("RGBA")
            white = pillow.new("RGBA", image.size, (255, 255, 255, 255))
            image = pillow.alpha_composite(white, coloured)
        pixels: Pixels = np.asarray(image.convert("RGB"))
    except Exception as error:  # decoding happens here, so the same holds as for opening
        raise RequestError(f"{subject} is a damaged image: {error}") from error
    return _check_array(pixels, subject)


def _check_array(array: npt.NDArray[Any], subject: str) -> Pixels:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:  # noqa: PLR2004 - RGB
        raise RequestError(
            f"{subject} must have the shape [height, width, 3] of u8, and has {list(array.shape)} of {array.dtype}"
        )
    _check_pixels(array.shape[1], array.shape[0], subject)
    return array


def _check_pixels(width: int, height: int, subject: str) -> None:
    if width * height > _MOST_PIXELS:
        raise _too_large(subject, f"{width} by {height}")


def _too_large(subject: str, found: str) -> RequestError:
    return RequestError(
        f"{subject} has too many pixels: {found}; the most are {_MOST_PIXELS}", hint="scale it down first"
    )


def _size_option(options: Mapping[str, Any], name: str, allowed: tuple[set[str], ...]) -> dict[str, int] | None:
    size = optional(options, name, dict)
    if size is None:
        return None
    if set(size) not in allowed or not all(type(edge) is int and 0 < edge <= _LONGEST_EDGE for edge in size.values()):
        expected = " or ".join(" and ".join(sorted(keys)) for keys in allowed)
        raise ManifestError(f"{name!r} must give {expected} in pixels, at most {_LONGEST_EDGE}, and is {size}")
    return size


def _channels(options: Mapping[str, Any], name: str) -> npt.NDArray[np.float32] | None:
    values = optional(options, name, list)
    if values is None:
        return None
    if len(values) != 3 or not all(isinstance(value, int | float) for value in values):  # noqa: PLR2004 - RGB
        raise ManifestError(f"{name!r} must be three numbers, and is {values}")
    return np.array(values, dtype=np.float32)
