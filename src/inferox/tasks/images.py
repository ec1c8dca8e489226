"""Reading of images: from a file's bytes, a Pillow image or an array to RGB."""

from __future__ import annotations

import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from inferox.core import ConfigError, RequestError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

Pixels = npt.NDArray[np.uint8]
"""An image: shape ``[height, width, 3]``, red, green and blue."""

IMAGE_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""The supported formats. Pillow supports more, some of which start other programs."""

MAX_PIXELS = 2**26
"""The most pixels of an image. Pillow stores one in four bytes, and rotating, converting and resizing hold two images
at once: 512 MiB at most, all of which is freed once the image is prepared."""

_SHARES = {"WEBP": 2}
"""The divisor of the pixel limit for formats whose readers hold more copies of an image than Pillow does."""

MAX_EDGE = 65_535
"""The longest edge of an image, which is also JPEG's. Resizing takes memory for every pixel of an edge."""

_ORIENTATION = 0x0112
_TILE_EXTENTS = (322, 323)
"""The tags of a TIFF file that give the width and height of its tiles, each of which is decoded as a whole."""


def import_pillow() -> Any:
    """Imports ``PIL.Image``.

    Raises:
        ConfigError: If Pillow is missing.
    """
    try:
        import PIL.Image as pillow  # noqa: N813 - the library, by its name
    except ImportError as error:
        raise ConfigError("reading images needs Pillow", hint="pip install 'inferox[images]'") from error
    return pillow


def read_image(image: Any, subject: str, *, composite_on_white: bool = False) -> Pixels | PillowImage:
    """Reads an image as transformers' image pipelines do.

    It is rotated upright according to its EXIF orientation, and converted with Pillow's ``convert("RGB")``:
    transparency is dropped, so that the colours stored under transparent parts show; values of more than 8 bits are
    clipped at 255. Of a file with several frames, the first is read.

    Args:
        image: The bytes of a file, a Pillow image, or an array of shape ``[height, width, 3]``, uint8. An array is
            returned unchanged. Paths are not accepted, so that data from a network cannot open a file.
        subject: The name of the image in messages, such as ``image 3``.
        composite_on_white: Whether parts that are transparent by their colour or palette entry become white. Some image
            processors of transformers do that (``do_convert_rgb``); it does not apply to alpha channels.

    Returns:
        A decoded Pillow image of the mode ``RGB``, or the array.

    Raises:
        RequestError: If it is none of these, cannot be read, or is too large.
        ConfigError: If Pillow is missing.
    """
    check_kind(image, subject)
    if isinstance(image, np.ndarray):
        return _check_array(image, subject)
    if _is_pillow(image):
        _check_extents(image, subject)
        return _to_rgb(image, subject, own=False, composite_on_white=composite_on_white)
    return _to_rgb(_open(image, subject), subject, own=True, composite_on_white=composite_on_white)


def has_several_frames(content: bytes) -> bool:
    """Returns whether a file is an animation or has several pages, of which ``read_image`` reads only the first.

    The previews that phones embed in their photos do not count.

    Args:
        content: The bytes of a file; ``False`` is returned if it cannot be read.
    """
    try:
        opened = _open(content, "the image")
        return opened.format != "MPO" and bool(getattr(opened, "is_animated", False))
    except Exception:  # noqa: BLE001 - whoever reads the image says what is wrong with it
        return False


def check_kind(image: Any, subject: str) -> None:
    """Checks that an item is of a kind that ``read_image`` takes, without reading it.

    Args:
        image: The item.
        subject: The name of the item in messages.

    Raises:
        RequestError: If it is of another kind.
    """
    if isinstance(image, np.ndarray | bytes | bytearray | memoryview) or _is_pillow(image):
        return
    kind = type(image).__name__
    is_path = isinstance(image, str) or hasattr(image, "__fspath__")
    raise RequestError(
        f"{subject} must be the bytes of a file, a Pillow image or an array, but is of the type {kind}",
        hint="read the file first, for example with pathlib.Path(…).read_bytes()" if is_path else None,
    )


def too_large(subject: str, found: str, most: int = MAX_PIXELS) -> RequestError:
    """Makes the error for an image with too many pixels.

    Args:
        subject: The name of the image in the message.
        found: Its size, such as ``10000 by 9000``.
        most: The most pixels that it may have.
    """
    return RequestError(
        f"{subject} has too many pixels: {found}; at most {most} pixels and {MAX_EDGE} along an edge are read",
        hint="scale it down first",
    )


def _is_pillow(image: Any) -> bool:
    # A caller with a Pillow image has imported Pillow already, and arrays do not need it.
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(image, pillow.Image)


def _open(content: bytes | bytearray | memoryview, subject: str) -> PillowImage:
    pillow = import_pillow()
    try:
        opened: PillowImage = pillow.open(BytesIO(content), formats=IMAGE_FORMATS)
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise too_large(subject, str(error)) from error
    except Exception as error:  # a damaged file makes Pillow's readers raise whatever they stumble over
        raise RequestError(f"{subject} is not an image that can be read ({', '.join(IMAGE_FORMATS)})") from error
    _check_extents(opened, subject)
    return opened


def _check_extents(image: PillowImage, subject: str) -> None:
    _check_size(image.width, image.height, subject, _SHARES.get(image.format or "", 1))
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        width, height = (tags.get(tag, 1) for tag in _TILE_EXTENTS)
        if not all(type(extent) is int and extent > 0 for extent in (width, height)):
            raise RequestError(f"{subject} is a damaged image: its tiles are {width!r} by {height!r}")
        _check_size(width, height, f"a tile of {subject}")


def _check_size(width: int, height: int, subject: str, share: int = 1) -> None:
    if width * height > MAX_PIXELS // share or max(width, height) > MAX_EDGE:
        raise too_large(subject, f"{width} by {height}", MAX_PIXELS // share)


def _to_rgb(image: PillowImage, subject: str, *, own: bool, composite_on_white: bool) -> PillowImage:
    """Rotates and converts an image; the caller's own image is not changed."""
    from PIL import ImageOps

    try:
        image.load()
        # exif_transpose() and convert() copy even if there is nothing to do, and memory matters here.
        if image.getexif().get(_ORIENTATION, 1) != 1:
            if own:
                ImageOps.exif_transpose(image, in_place=True)
            else:
                image, own = ImageOps.exif_transpose(image), True
        if image.mode != "RGB":
            image = _without_alphas(image, own=own).convert("RGB")
        if composite_on_white and image.info.get("transparency") is not None:
            image = _on_white(image)
    except MemoryError as error:
        raise RequestError(f"{subject} needs more memory than is available", hint="scale it down first") from error
    except Exception as error:  # decoding happens here, so the same applies as for opening
        raise RequestError(f"{subject} is a damaged image: {error}") from error
    return image


def _without_alphas(image: PillowImage, *, own: bool) -> PillowImage:
    # convert() drops several alphas of a palette in any case, with a warning.
    if isinstance(image.info.get("transparency"), bytes):
        if not own:
            image = image.copy()
        image.info.pop("transparency", None)
    return image


def _on_white(image: PillowImage) -> PillowImage:
    opaque = image.convert("RGBA").getchannel("A")
    white: PillowImage = import_pillow().new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=opaque)
    return white


def _check_array(array: npt.NDArray[Any], subject: str) -> Pixels:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:  # noqa: PLR2004 - RGB
        raise RequestError(
            f"{subject} must have the shape [height, width, 3] of u8, but has {list(array.shape)} of {array.dtype}"
        )
    _check_size(array.shape[1], array.shape[0], subject)
    return array
