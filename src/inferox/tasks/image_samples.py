"""Sample images that prove reading and preprocessing: encoded files of many kinds."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from inferox.core import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

_ORIENTATION = 0x0112
"""The EXIF tag that states how a viewer rotates and mirrors an image."""


_LARGER = 2.5
"""The edge of the large samples, as a multiple of the edge to which they are resized; most photographs exceed it."""

_LONGEST_EDGE = 4096
"""The longest edge of a large sample: few images exceed a model's size by more."""


def sample_images(resized_edge: int | None = None) -> list[bytes]:
    """Makes encoded images that vary in everything that reading and preprocessing depend on.

    They include every mode of common formats (one bit, grey, grey with alpha, palette, RGB, RGBA, CMYK, YCbCr, 16 and
    32 bits), every form of transparency, all eight EXIF orientations, sizes from one pixel to more than a model takes,
    and long and narrow images. Two, one high and one wide, are so large that resizing combines several of their pixels
    into one.

    Args:
        resized_edge: The approximate edge to which the model's images are resized; ``None`` if they are not.

    Returns:
        The contents of files, the same at every call with the same version of Pillow; about 100 KB in total for a model
        that takes 224 by 224 pixels.

    Raises:
        ConfigError: If Pillow is missing.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ConfigError("making images needs Pillow", hint="pip install 'inferox[images]'") from error
    random = np.random.default_rng(20)
    return [
        *_plain(Image, random),
        *_grey(Image, random),
        *_transparent(Image, random),
        *_printed(Image, random),
        *(_large(Image, resized_edge) if resized_edge else ()),
        *(_turned(Image, random, orientation) for orientation in range(1, 9)),
    ]


def _plain(pillow: Any, random: np.random.Generator) -> list[bytes]:
    """Makes RGB images in several sizes and formats."""
    animation = [pillow.fromarray(_draw(random, 30, 44)) for _ in range(2)]
    return [
        _encode(pillow.fromarray(_draw(random, 300, 400)), "JPEG", quality=80),
        _encode(pillow.fromarray(_draw(random, 64, 48)), "PNG"),
        _encode(pillow.fromarray(_draw(random, 1, 1)), "PNG"),
        _encode(pillow.fromarray(_draw(random, 5, 150)), "BMP"),
        _encode(pillow.fromarray(_draw(random, 150, 5)), "TIFF"),
        _encode(pillow.fromarray(_draw(random, 51, 77)), "WEBP", lossless=True),
        _encode(animation[0], "GIF", save_all=True, append_images=animation[1:]),
    ]


def _grey(pillow: Any, random: np.random.Generator) -> list[bytes]:
    """Makes images with a single channel of 1, 8, 16 and 32 bits; those of more than 8 bits have values beyond 255."""
    deep = _draw(random, 40, 31)[..., 0].astype(np.int32) * 2
    return [
        _encode(pillow.fromarray(_draw(random, 33, 65)).convert("1"), "PNG"),
        _encode(pillow.fromarray(_draw(random, 65, 33)[..., 0]), "PNG"),
        _encode(pillow.fromarray(deep.astype(np.uint16)), "PNG"),
        _encode(pillow.fromarray(deep), "TIFF"),
        _encode(pillow.fromarray(deep.astype(np.float32)), "TIFF"),
    ]


def _transparent(pillow: Any, random: np.random.Generator) -> list[bytes]:
    """Makes images with transparency as a channel, as one colour, and as a palette entry."""
    colours = pillow.fromarray(_draw(random, 40, 56))
    alpha = pillow.fromarray(_draw(random, 40, 56)[..., 1])
    coloured, grey = colours.copy(), colours.convert("L")
    coloured.putalpha(alpha)
    grey.putalpha(alpha)
    palette = colours.quantize(16)
    return [
        _encode(coloured, "PNG"),
        _encode(grey, "PNG"),
        _encode(palette, "PNG"),
        _encode(palette, "PNG", transparency=bytes(range(0, 256, 16))),
        _encode(palette, "GIF", transparency=3),
        _encode(colours, "PNG", transparency=colours.getpixel((3, 2))),
        _encode(coloured, "WEBP", lossless=True),
    ]


def _printed(pillow: Any, random: np.random.Generator) -> list[bytes]:
    """Makes images in the colour spaces of print and television."""
    colours = pillow.fromarray(_draw(random, 36, 52))
    return [
        _encode(colours.convert("CMYK"), "JPEG", quality=90),
        _encode(colours.convert("CMYK"), "TIFF"),
        # Pillow before 13 reads no such file without compression.
        _encode(colours.convert("YCbCr"), "TIFF", compression="tiff_lzw"),
    ]


def _turned(pillow: Any, random: np.random.Generator, orientation: int) -> bytes:
    """Makes a non-square image that a viewer rotates or mirrors."""
    exif = pillow.Exif()
    exif[_ORIENTATION] = orientation
    kind, options = ("JPEG", {"quality": 90}) if orientation % 2 else ("PNG", {})
    return _encode(pillow.fromarray(_draw(random, 30, 54)), kind, exif=exif, **options)


def _large(pillow: Any, resized_edge: int) -> list[bytes]:
    """Makes images larger than the model takes: a wide one of fine checks, and a high one with few edges."""
    short = min(int(_LARGER * resized_edge), _LONGEST_EDGE * 3 // 4) + 1
    long = short * 4 // 3
    wide, high = _draw_checks(short, long, 1), _draw_checks(long, short, max(1, resized_edge // 4))
    return [_encode(pillow.fromarray(wide), "PNG"), _encode(pillow.fromarray(high), "JPEG", quality=80)]


def _draw_checks(height: int, width: int, finest: int) -> npt.NDArray[np.uint8]:
    """Draws gradients under checks of nine sizes, which reveal the resampling method and compress well."""
    rows, columns = np.arange(height, dtype=np.int32)[:, None], np.arange(width, dtype=np.int32)[None, :]
    high, wide = (finest + places * 3 // extent for places, extent in ((rows, height), (columns, width)))
    checks = (rows // high + columns // wide) % 2 * 60
    down, across = np.broadcast_arrays(rows * 150 // height, columns * 150 // width)
    channels = (down + checks, across + checks, 255 - (down + across) // 2 - checks)
    return np.stack(channels, axis=2).astype(np.uint8)


def _draw(random: np.random.Generator, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Draws gradients, a bright corner that reveals any rotation or mirroring, and some noise."""
    rows, columns = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[None, :, None]
    from_colour, to_colour = random.uniform(0, 120, (2, 1, 1, 3))
    values = from_colour * rows + to_colour * columns + 8 * random.integers(0, 2, (height, width, 1))
    values[: (height + 2) // 3, : (width + 3) // 4] += random.uniform(0, 100, 3)
    image: npt.NDArray[np.uint8] = np.clip(values, 0, 255).astype(np.uint8)
    return image


def _encode(image: PillowImage, kind: str, **options: Any) -> bytes:
    content = BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()
