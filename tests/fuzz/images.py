"""Small images of every format that is read, and damaged ones."""

from __future__ import annotations

import random
import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from tests.fuzz.byte_changes import change_bytes

_HEADER_BYTES = 96
"""The part of a file in which most formats state the image's size and storage."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "png": ("PNG", "RGB", {}),
    "png-palette": ("PNG", "P", {"transparency": 0}),
    "png-grey": ("PNG", "I;16", {}),
    "jpeg": ("JPEG", "RGB", {}),
    "jpeg-progressive": ("JPEG", "RGB", {"progressive": True}),
    "jpeg-cmyk": ("JPEG", "CMYK", {}),
    "gif": ("GIF", "P", {}),
    "gif-frames": ("GIF", "P", {"frames": 3}),
    "webp": ("WEBP", "RGB", {}),
    "webp-lossless": ("WEBP", "RGBA", {"lossless": True}),
    "bmp": ("BMP", "RGB", {}),
    "bmp-palette": ("BMP", "P", {}),
    "tiff": ("TIFF", "RGB", {}),
    "tiff-deflate": ("TIFF", "RGBA", {"compression": "tiff_adobe_deflate"}),
    "tiff-lzw": ("TIFF", "L", {"compression": "tiff_lzw"}),
    "tiff-jpeg": ("TIFF", "RGB", {"compression": "jpeg"}),
    "tiff-float": ("TIFF", "F", {}),
    "ppm": ("PPM", "RGB", {}),
    "ppm-bits": ("PPM", "1", {}),
}

IMAGE_KINDS = tuple(_KINDS)
"""The names of the images that are damaged."""


def make_image(kind: str) -> bytes:
    """Returns the bytes of an undamaged image.

    Args:
        kind: One of ``IMAGE_KINDS``.
    """
    format_, mode, options = _KINDS[kind]
    options = dict(options)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 28, 3), dtype=np.uint8)
    image = _in_mode(Image.fromarray(pixels), mode)
    if frames := options.pop("frames", 0):
        options |= {"save_all": True, "append_images": [image.rotate(90 * turn) for turn in range(1, frames)]}
    if mode == "RGB" and format_ in {"JPEG", "PNG", "WEBP", "TIFF"}:
        exif = Image.Exif()
        exif[0x0112] = 6
        options["exif"] = exif
    stream = BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def change_image(kind: str, choice: random.Random) -> bytes:
    """Returns the bytes of a damaged image; in half of the cases the checksums of a PNG are corrected.

    Args:
        kind: One of ``IMAGE_KINDS``.
        choice: The random generator.
    """
    content = make_image(kind)
    end = min(_HEADER_BYTES, len(content)) if choice.random() < 0.6 else len(content)
    changed = change_bytes(content, range(end), choice)
    return _with_checksums(changed) if kind.startswith("png") and choice.random() < 0.5 else changed


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return image.convert(mode)


def _with_checksums(content: bytes) -> bytes:
    """Returns a PNG whose chunks have correct checksums, as far as their lengths lead."""
    made, place = bytearray(content), len(_PNG_SIGNATURE)
    while place + 12 <= len(made):
        (length,) = struct.unpack_from(">I", made, place)
        end = place + 8 + length
        if end + 4 > len(made):
            break
        struct.pack_into(">I", made, end, zlib.crc32(made[place + 4 : end]))
        place = end + 4
    return bytes(made)
