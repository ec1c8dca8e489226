"""Reading images, against transformers' own way."""

from __future__ import annotations

import builtins
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from transformers.image_utils import load_image

from inferox.core import ConfigError, RequestError
from inferox.tasks.image_samples import sample_images
from inferox.tasks.images import read_image

SHAPES = [(480, 640), (640, 480), (224, 224), (37, 211), (300, 20), (1, 1), (257, 255)]


def picture(height: int, width: int, channels: int = 3) -> npt.NDArray[np.uint8]:
    random = np.random.default_rng(height * 1000 + width)
    slope = np.linspace(0, 200, width)[None, :, None] * np.linspace(0, 1, height)[:, None, None]
    return (slope + random.uniform(0, 55, (height, width, channels))).astype(np.uint8)


def encoded(array: npt.NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array.squeeze()).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "PPM", "WEBP"])
def test_bytes_and_images_are_read_alike(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(np.full((5, 7, 3), [10, 200, 30], dtype=np.uint8), kind, **options)

    images = [read_image(item, "it") for item in (content, bytearray(content), Image.open(io.BytesIO(content)))]

    for image in images:
        np.testing.assert_array_equal(image, np.full((5, 7, 3), [10, 200, 30]))


@pytest.mark.parametrize("number", range(len(sample_images())))
@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_every_mode_orientation_and_transparency_is_read_as_transformers_reads_it(tmp_path: Path, number: int) -> None:
    content = sample_images()[number]
    (tmp_path / "image").write_bytes(content)
    expected = np.asarray(load_image(str(tmp_path / "image")))

    given_image = Image.open(io.BytesIO(content))
    given_image.load()
    before = dict(given_image.info)

    np.testing.assert_array_equal(read_image(content, "it"), expected)
    np.testing.assert_array_equal(read_image(given_image, "it"), expected)
    assert given_image.info == before


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_images_of_every_mode_of_pillow_are_converted_as_transformers_converts_them(mode: str) -> None:
    random = np.random.default_rng(4)
    image = Image.fromarray(random.integers(0, 256, (7, 9, 3), dtype=np.uint8)).convert(mode)

    np.testing.assert_array_equal(read_image(image, "it"), np.asarray(load_image(image)))


def test_the_colours_under_transparent_parts_show() -> None:
    transparent = np.zeros((2, 2, 4), dtype=np.uint8)
    transparent[0, 0], transparent[1, 1] = [1, 2, 3, 255], [9, 8, 7, 0]

    image = np.asarray(read_image(encoded(transparent), "it"))

    assert image[0, 0].tolist() == [1, 2, 3]
    assert image[1, 1].tolist() == [9, 8, 7]


def test_a_photo_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((5, 9, 3), dtype=np.uint8)
    pixels[:, 0] = 255

    image = np.asarray(read_image(encoded(pixels, "PNG", exif=exif), "it"))

    assert image.shape == (9, 5, 3)
    assert (image[0] == 255).all()
    assert not image[1:].any()


def test_an_orientation_in_xmp_counts_too() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="8"/>'
    content = encoded(picture(5, 9), "JPEG", xmp=xmp)

    assert np.asarray(read_image(content, "it")).shape == (9, 5, 3)
    np.testing.assert_array_equal(read_image(content, "it"), np.asarray(load_image(Image.open(io.BytesIO(content)))))


def png_that_claims(width: int, height: int) -> bytes:
    """Makes a PNG that states an extent but contains no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def tiff_of_tiles(extent: int, tile_width: int, tile_height: int) -> bytes:
    """Makes a square grey TIFF whose single tile states an extent of its own."""
    data = zlib.compress(bytes(extent * extent))
    tags = [(256, extent), (257, extent), (258, 8), (259, 8), (262, 1), (277, 1), (322, tile_width), (323, tile_height)]
    start = 8 + 2 + 12 * (len(tags) + 2) + 4
    entries = [*tags, (324, start), (325, len(data))]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4) + data


def test_tiles_are_read() -> None:
    assert not np.asarray(read_image(tiff_of_tiles(16, 16, 16), "it")).any()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", "it is not an image that can be read"),
        (b"not an image", "it is not an image that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "it is not an image that can be read"),
        (encoded(picture(40, 40))[:300], "it is a damaged image"),
        (encoded(picture(40, 40), "JPEG")[:-200], "it is a damaged image"),
        (png_that_claims(3, 3), "it is a damaged image"),
        (png_that_claims(100_000, 100_000), "it has too many pixels"),
        (png_that_claims(10_000, 9_000), "it has too many pixels: 10000 by 9000"),
        (png_that_claims(1, 70_000), "it has too many pixels: 1 by 70000; at most 67108864 pixels and 65535 along"),
        (tiff_of_tiles(16, 40_000, 40_000), "a tile of it has too many pixels: 40000 by 40000"),
        (tiff_of_tiles(16, 0, 16), "it is a damaged image: its tiles are 0 by 16"),
        ("/no/such/file", r"it must be the bytes of a file.* of the type str \(read the file first"),
        (Path("/dev/zero"), "of the type PosixPath .read the file first"),
        (None, "it must be the bytes of a file, a Pillow image or an array, but is of the type NoneType$"),
        (True, "of the type bool"),
        (np.zeros((3, 4, 4), dtype=np.uint8), r"must have the shape \[height, width, 3\] of u8, but has \[3, 4, 4\]"),
        (np.zeros((4, 4, 3), dtype=np.float32), r"but has \[4, 4, 3\] of float32"),
        (np.zeros((4, 4), dtype=np.uint8), r"but has \[4, 4\] of uint8"),
        (np.zeros((0, 4, 3), dtype=np.uint8), r"but has \[0, 4, 3\] of uint8"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_not_an_image_is_refused(image: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_image(image, "it")


def test_a_webp_is_refused_at_half_the_pixels_of_other_images() -> None:
    content = encoded(np.zeros((6000, 6000, 3), dtype=np.uint8), "WEBP", lossless=True, quality=0, method=0)
    with pytest.raises(RequestError, match="it has too many pixels: 6000 by 6000; at most 33554432"):
        read_image(content, "it")


def test_missing_pillow_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: Any) -> Any:
        if name.startswith("PIL"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)

    with pytest.raises(ConfigError, match=r"needs Pillow \(pip install 'inferox\[images\]'\)"):
        read_image(b"", "it")
