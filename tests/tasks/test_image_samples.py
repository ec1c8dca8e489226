"""The images of the proof: they must differ in everything on which an image's preparation depends."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from PIL import Image

from inferox.tasks.image_preprocessor import ImagePreprocessor
from inferox.tasks.image_samples import sample_images


def test_every_mode_format_orientation_and_kind_of_transparency_is_there() -> None:
    images = [Image.open(io.BytesIO(content)) for content in sample_images()]

    modes = {image.mode for image in images}
    assert modes >= {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16", "F"}
    assert {image.format for image in images} >= {"BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"}
    assert {image.getexif().get(0x0112) for image in images} == {None, *range(1, 9)}
    assert {image.mode for image in images if image.info.get("transparency") is not None} == {"P", "RGB"}
    assert any(getattr(image, "n_frames", 1) > 1 for image in images)


def test_sizes_and_proportions_reach_to_the_extremes() -> None:
    sizes = [Image.open(io.BytesIO(content)).size for content in sample_images()]

    assert (1, 1) in sizes
    assert max(max(size) for size in sizes) > 256
    assert min(width / height for width, height in sizes) <= 1 / 30
    assert max(width / height for width, height in sizes) >= 30


def test_every_turn_and_mirroring_shows() -> None:
    turned = [Image.open(io.BytesIO(content)) for content in sample_images()][-8:]

    for image in turned:
        variants = {image.transpose(method).convert("RGB").tobytes() for method in Image.Transpose}
        assert len(variants | {image.convert("RGB").tobytes()}) == 8


def test_they_are_the_same_at_every_call_and_small() -> None:
    contents = sample_images(224)

    assert contents == sample_images(224)
    assert len(set(contents)) == len(contents)
    assert sum(map(len, contents)) < 150_000


def _reduce(image: Image.Image, size: tuple[int, int], resample: int) -> Image.Image:
    return image.resize(size, Image.Resampling(resample), reducing_gap=1.0)


def _skip(image: Image.Image, size: tuple[int, int], resample: int) -> Image.Image:
    """Takes every second pixel first, as resizing without a filter does."""
    small = image.width < 2 * size[0] or image.height < 2 * size[1]
    pixels = np.asarray(image)
    return Image.fromarray(pixels if small else pixels[::2, ::2]).resize(size, Image.Resampling(resample))


def _halve(image: Image.Image, size: tuple[int, int], resample: int) -> Image.Image:
    """Makes a large image half as large first, as decoders of JPEG offer."""
    small = image.width < 2 * size[0] or image.height < 2 * size[1]
    return (image if small else image.reduce(2)).resize(size, Image.Resampling(resample))


@cache
def _large_samples(edge: int) -> list[Image.Image]:
    images = [Image.open(io.BytesIO(content)).convert("RGB") for content in sample_images(edge)]
    return [image for image in images if min(image.size) > 2 * edge]


@pytest.mark.parametrize("shrink", [_reduce, _skip, _halve])
@pytest.mark.parametrize("resample", [2, 3])
@pytest.mark.parametrize(
    "size",
    [
        {"height": 224, "width": 224},
        {"height": 224, "width": 100},
        {"shortest_edge": 384},
        {"shortest_edge": 224, "longest_edge": 280},
        {"max_height": 160, "max_width": 224},
    ],
    ids=json.dumps,
)
def test_every_way_to_make_a_large_image_small_shows(
    size: dict[str, int], resample: int, shrink: Callable[..., Image.Image]
) -> None:
    prepare = ImagePreprocessor({"size": size, "resample": resample, "rescale_factor": 1 / 255})
    assert prepare.resized_edge is not None
    images = _large_samples(prepare.resized_edge)

    assert {image.width > image.height for image in images} == {True, False}
    for image in images:
        expected = prepare(image, "an image").transpose(1, 2, 0)
        shrunk = shrink(image, expected.shape[1::-1], resample)
        assert np.abs(np.asarray(shrunk) / 255 - expected).max() > 1 / 255


def test_a_model_that_resizes_nothing_or_to_huge_images_gets_samples_that_it_takes() -> None:
    assert ImagePreprocessor({"resample": 0}).resized_edge is None
    assert sample_images(None) == sample_images()
    contents = sample_images(8192)
    sizes = [Image.open(io.BytesIO(content)).size for content in contents]
    assert 4000 < max(max(size) for size in sizes) <= 4100
    assert sum(map(len, contents)) < 8_000_000
