"""Images to tensors, against transformers' own image processors."""

from __future__ import annotations

import builtins
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.mobilenet_v2.image_processing_pil_mobilenet_v2 import MobileNetV2ImageProcessorPil
from transformers.models.pvt.image_processing_pil_pvt import PvtImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from inferox.core import ConfigError, ManifestError, PackageError, RequestError
from inferox.tasks.image_files import read_image_options
from inferox.tasks.images import ImagePreprocessor, read_image, resized_shape

SHAPES = [(480, 640), (640, 480), (224, 224), (37, 211), (300, 20), (1, 1), (257, 255)]


def picture(height: int, width: int, channels: int = 3) -> npt.NDArray[np.uint8]:
    random = np.random.default_rng(height * 1000 + width)
    slope = np.linspace(0, 200, width)[None, :, None] * np.linspace(0, 1, height)[:, None, None]
    return (slope + random.uniform(0, 55, (height, width, channels))).astype(np.uint8)


def encoded(array: npt.NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array.squeeze()).save(file, kind, **options)
    return file.getvalue()


def prepare(directory: Path, image: Any, model_type: str = "vit") -> npt.NDArray[np.float32]:
    options = json.loads(json.dumps(read_image_options(directory, {"model_type": model_type})))
    return ImagePreprocessor(options)(read_image(image, "image 0"), "image 0")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "processor",
    [
        ViTImageProcessorPil(),
        ViTImageProcessorPil(size={"height": 30, "width": 50}, resample=3, image_mean=[0.1, 0.2, 0.3]),
        ViTImageProcessorPil(do_resize=False, do_rescale=False),
        ViTImageProcessorPil(do_normalize=False, rescale_factor=1 / 127.5),
        ViTImageProcessorPil(size={"shortest_edge": 40, "longest_edge": 60}),
        ViTImageProcessorPil(size={"shortest_edge": 40}, do_center_crop=True, crop_size={"height": 33, "width": 50}),
        ViTImageProcessorPil(do_resize=False, do_center_crop=True, crop_size={"height": 300, "width": 305}),
        ConvNextImageProcessorPil(),
        ConvNextImageProcessorPil(size={"shortest_edge": 64}, crop_pct=0.9),
        ConvNextImageProcessorPil(size={"shortest_edge": 64}, do_center_crop=True, crop_size=48, resample=2),
        DeiTImageProcessorPil(),
        CLIPImageProcessorPil(),
        SiglipImageProcessorPil(),
        PvtImageProcessorPil(),
        MobileNetV2ImageProcessorPil(),
    ],
    ids=lambda processor: type(processor).__name__,
)
def test_equals_transformers(tmp_path: Path, processor: Any, shape: tuple[int, int]) -> None:
    processor.save_pretrained(tmp_path)
    image = picture(*shape)

    prepared = prepare(tmp_path, image)

    # With a single pixel, transformers cannot tell the axes of an array apart.
    (expected,) = processor(Image.fromarray(image), return_tensors="np")["pixel_values"]
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(prepared, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("stated", "model_type", "reference"),
    [
        # As the first published checkpoints of these models have them.
        (
            {"do_normalize": True, "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": 224},
            "vit",
            ViTImageProcessorPil,
        ),
        (
            {
                "crop_pct": 0.875,
                "do_normalize": True,
                "do_resize": True,
                "feature_extractor_type": "ConvNextFeatureExtractor",
                "image_mean": [0.485, 0.456, 0.406],
                "image_std": [0.229, 0.224, 0.225],
                "resample": 3,
                "size": 224,
            },
            "resnet",
            ConvNextImageProcessorPil,
        ),
        ({"size": 288, "crop_pct": None}, "regnet", ConvNextImageProcessorPil),
        (
            {"image_processor_type": "CLIPImageProcessorFast", "size": 48, "crop_size": 40},
            "clip",
            CLIPImageProcessorPil,
        ),
    ],
)
def test_old_files_equal_transformers(tmp_path: Path, stated: dict[str, Any], model_type: str, reference: Any) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stated))
    image = picture(100, 150)

    prepared = prepare(tmp_path, image, model_type)

    given_values = {name: value for name, value in stated.items() if value is not None and not name.endswith("_type")}
    (expected,) = reference(**given_values)(Image.fromarray(image), return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(prepared, expected, atol=1e-5)


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    size=st.sampled_from([{"longest_edge": 50}, {"shortest_edge": 20}, {"shortest_edge": 20, "longest_edge": 50}]),
)
def test_resizing_keeps_the_proportions(height: int, width: int, size: dict[str, int]) -> None:
    new_height, new_width = resized_shape(height, width, size)

    assert (new_height <= new_width) == (height <= width) or new_height == new_width
    assert max(new_height, new_width) <= size.get("longest_edge", 20 * 300)
    if "longest_edge" not in size:
        assert min(new_height, new_width) == 20
    if min(new_height, new_width) > 1:
        # Each edge is rounded to a whole pixel.
        assert abs(new_height * width - new_width * height) <= 1.5 * max(height, width)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "PPM", "WEBP"])
def test_bytes_paths_and_images_are_read_alike(tmp_path: Path, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(np.full((5, 7, 3), [10, 200, 30], dtype=np.uint8), kind, **options)
    path = tmp_path / "image"
    path.write_bytes(content)

    images = [read_image(item, "it") for item in (content, path, str(path), Image.open(path))]

    for image in images:
        np.testing.assert_array_equal(image, np.full((5, 7, 3), [10, 200, 30]))


def test_jpeg_is_read_without_turning_it_as_the_camera_was_held() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6

    image = read_image(encoded(picture(5, 9), "JPEG", exif=exif), "it")

    assert image.shape == (5, 9, 3)


def test_grey_becomes_three_equal_channels() -> None:
    image = read_image(encoded(picture(4, 4, 1)), "it")

    assert image.shape == (4, 4, 3)
    assert (image == image[..., :1]).all()


def test_transparent_parts_become_white() -> None:
    transparent = np.zeros((2, 2, 4), dtype=np.uint8)
    transparent[0, 0] = [1, 2, 3, 255]

    image = read_image(encoded(transparent), "it")

    assert image[0, 0].tolist() == [1, 2, 3]
    assert image[1, 1].tolist() == [255, 255, 255]


def test_a_transparent_colour_of_a_palette_becomes_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 9, 9, 9])
    image.putpixel((1, 0), 1)
    file = io.BytesIO()
    image.save(file, "PNG", transparency=0)

    assert read_image(file.getvalue(), "it").tolist() == [[[255, 255, 255], [9, 9, 9]]]


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG that states an extent and holds no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", "it is no image that can be read"),
        (b"not an image", "it is no image that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "it is no image that can be read"),
        (encoded(picture(40, 40))[:300], "it is a damaged image"),
        (encoded(picture(40, 40), "JPEG")[:-200], "it is a damaged image"),
        (png_that_claims(3, 3), "it is a damaged image"),
        (png_that_claims(100_000, 100_000), "it has too many pixels"),
        (png_that_claims(10_000, 9_000), "it has too many pixels: 10000 by 9000"),
        ("/no/such/file", "it cannot be read: No such file"),
        ("a\x00b", "cannot be read"),
        (None, "it must be a path, bytes, a Pillow image or an array, and is of the type NoneType"),
        (True, "of the type bool"),
        (np.zeros((3, 4, 4), dtype=np.uint8), r"must have the shape \[height, width, 3\] of u8, and has \[3, 4, 4\]"),
        (np.zeros((4, 4, 3), dtype=np.float32), r"and has \[4, 4, 3\] of float32"),
        (np.zeros((4, 4), dtype=np.uint8), r"and has \[4, 4\] of uint8"),
        (np.zeros((0, 4, 3), dtype=np.uint8), r"and has \[0, 4, 3\] of uint8"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_image_is_refused(image: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_image(image, "it")


def test_a_narrow_image_that_would_grow_too_large_is_refused() -> None:
    options = {"size": {"shortest_edge": 224}, "resample": 2}

    with pytest.raises(RequestError, match="it has too many pixels: resized to 22400000 by 224"):
        ImagePreprocessor(options)(np.zeros((100_000, 1, 3), dtype=np.uint8), "it")


def test_missing_pillow_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: Any) -> Any:
        if name.startswith("PIL"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)

    with pytest.raises(ConfigError, match=r"needs Pillow \(pip install 'inferox\[images\]'\)"):
        read_image(b"", "it")


@pytest.mark.parametrize(
    ("stated", "error", "message"),
    [
        (None, PackageError, r"there is no preprocessor_config\.json"),
        ("[]", PackageError, r"preprocessor_config\.json must be a JSON object"),
        ("{", PackageError, r"preprocessor_config\.json cannot be read"),
        ('{"image_processor_type": "DonutImageProcessor"}', ConfigError, "asks for DonutImageProcessor, which"),
        ('{"image_processor_type": "ViTImageProcessor", "do_pad": true}', ConfigError, "with do_pad"),
        ('{"image_processor_type": "ViTImageProcessor", "size": "big"}', ConfigError, "must be a number or name its"),
        (
            '{"image_processor_type": "ConvNextImageProcessor", "size": {"height": 2, "width": 3}}',
            ConfigError,
            "must name its shortest_edge",
        ),
    ],
)
def test_files_that_say_too_little_or_too_much_are_refused(
    tmp_path: Path, stated: str | None, error: type[Exception], message: str
) -> None:
    if stated is not None:
        (tmp_path / "preprocessor_config.json").write_text(stated)

    with pytest.raises(error, match=message):
        read_image_options(tmp_path, {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resample": None}, "the task's options need 'resample' of the type int"),
        ({"resample": 9}, "'resample' must be one of Pillow's numbers"),
        ({"size": {"height": 3}}, "'size' must give height and width or shortest_edge"),
        ({"size": {"height": 3, "width": -1}}, "'size' must give"),
        ({"size": {"shortest_edge": 2.5}}, "'size' must give"),
        (
            {"crop_size": {"height": 3, "width": 10**6}},
            "'crop_size' must give height and width in pixels, at most 8192",
        ),
        ({"std": [1, 0, 1]}, "'std' must be numbers above 0"),
        ({"crop_size": {"shortest_edge": 2}}, "'crop_size' must give height and width in pixels"),
        ({"mean": [1, 2]}, "'mean' must be three numbers"),
        ({"std": ["a", 1, 2]}, "'std' must be three numbers"),
        ({"rescale_factor": "1/255"}, "'rescale_factor' must be of the type float"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        ImagePreprocessor({"resample": 2, **options})
