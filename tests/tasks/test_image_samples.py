"""The images of the proof: they must differ in what an image's preparation depends on."""

from __future__ import annotations

import io

from PIL import Image

from inferox.tasks.image_samples import sample_images


def test_every_mode_format_orientation_and_kind_of_transparency_is_there() -> None:
    images = [Image.open(io.BytesIO(content)) for content in sample_images()]

    modes = {image.mode for image in images}
    assert modes >= {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16", "F"}
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
    contents = sample_images()

    assert contents == sample_images()
    assert len(set(contents)) == len(contents)
    assert sum(map(len, contents)) < 150_000
