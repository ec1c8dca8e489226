"""Images to tensors, against transformers' own image processors."""

from __future__ import annotations

import builtins
import io
import json
import math
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
from transformers.image_transforms import get_resize_output_image_size, get_size_with_aspect_ratio
from transformers.image_utils import get_image_size_for_max_height_width, load_image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.mobilenet_v2.image_processing_pil_mobilenet_v2 import MobileNetV2ImageProcessorPil
from transformers.models.pvt.image_processing_pil_pvt import PvtImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from inferox.core import ConfigError, ManifestError, PackageError, RequestError
from inferox.tasks.image_files import read_image_options
from inferox.tasks.image_preprocessor import ImagePreprocessor, resized_shape
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


@given(height=st.integers(1, 300), width=st.integers(1, 300), edge=st.integers(1, 90), limit=st.integers(1, 120))
def test_sizes_equal_those_of_transformers(height: int, width: int, edge: int, limit: int) -> None:
    image = np.empty((3, height, width), dtype=np.uint8)

    assert resized_shape(height, width, {"shortest_edge": edge}) == get_resize_output_image_size(
        image, size=edge, default_to_square=False, input_data_format="channels_first"
    )
    both = {"shortest_edge": edge, "longest_edge": limit}
    assert resized_shape(height, width, both) == get_size_with_aspect_ratio((height, width), edge, limit)
    most = {"max_height": edge, "max_width": limit}
    assert resized_shape(height, width, most) == get_image_size_for_max_height_width((height, width), edge, limit)


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

    image = read_image(encoded(transparent), "it")

    assert image[0, 0].tolist() == [1, 2, 3]
    assert image[1, 1].tolist() == [9, 8, 7]


def test_a_photo_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((5, 9, 3), dtype=np.uint8)
    pixels[:, 0] = 255

    image = read_image(encoded(pixels, "PNG", exif=exif), "it")

    assert image.shape == (9, 5, 3)
    assert (image[0] == 255).all()
    assert not image[1:].any()


def test_an_orientation_in_xmp_counts_too() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="8"/>'
    content = encoded(picture(5, 9), "JPEG", xmp=xmp)

    assert read_image(content, "it").shape == (9, 5, 3)
    np.testing.assert_array_equal(read_image(content, "it"), np.asarray(load_image(Image.open(io.BytesIO(content)))))


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
        (b"", "it is not an image that can be read"),
        (b"not an image", "it is not an image that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "it is not an image that can be read"),
        (encoded(picture(40, 40))[:300], "it is a damaged image"),
        (encoded(picture(40, 40), "JPEG")[:-200], "it is a damaged image"),
        (png_that_claims(3, 3), "it is a damaged image"),
        (png_that_claims(100_000, 100_000), "it has too many pixels"),
        (png_that_claims(10_000, 9_000), "it has too many pixels: 10000 by 9000"),
        (png_that_claims(1, 70_000), "it has too many pixels: 1 by 70000; at most 67108864 pixels and 65535 along"),
        ("/no/such/file", r"it must be the bytes of a file.* of the type str \(read the file first"),
        (Path("/dev/zero"), "of the type PosixPath .read the file first"),
        (None, "it must be the bytes of a file, a Pillow image or an array, and is of the type NoneType$"),
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

    with pytest.raises(RequestError, match="it has too many pixels: 10000 by 1 is resized to 2240000 by 224"):
        ImagePreprocessor(options)(np.zeros((10_000, 1, 3), dtype=np.uint8), "it")


def test_an_image_that_is_too_large_half_way_is_refused() -> None:
    options = {"size": {"height": 8, "width": 4096}, "resample": 2}

    with pytest.raises(RequestError, match="it has too many pixels: 65535 by 1 is resized to 8 by 4096"):
        ImagePreprocessor(options)(np.zeros((65_535, 1, 3), dtype=np.uint8), "it")


def test_a_tensor_that_would_grow_too_large_is_refused() -> None:
    with pytest.raises(RequestError, match="it becomes 4097 by 4096, and at most 16777216 pixels are computed"):
        ImagePreprocessor({"resample": 2})(np.zeros((4097, 4096, 3), dtype=np.uint8), "it")


@pytest.mark.parametrize(
    ("size", "shape"),
    [({"max_height": 10, "max_width": 10}, (100, 1)), ({"shortest_edge": 1, "longest_edge": 9}, (100, 1))],
)
def test_an_image_that_would_vanish_is_refused(size: dict[str, int], shape: tuple[int, int]) -> None:
    with pytest.raises(RequestError, match="it is too long and narrow: 100 by 1 leaves no pixel"):
        ImagePreprocessor({"size": size, "resample": 2})(picture(*shape), "it")


def test_an_image_that_is_larger_than_its_padding_is_refused() -> None:
    with pytest.raises(RequestError, match="it is 5 by 6 where the model pads it to 6 by 5"):
        ImagePreprocessor({"pad_size": {"height": 6, "width": 5}, "resample": 2})(picture(5, 6), "it")


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
        ({"mean": [1, 2]}, "'mean' must be three finite numbers"),
        ({"std": ["a", 1, 2]}, "'std' must be three finite numbers"),
        ({"std": [10**400, 1, 2]}, "'std' must be three finite numbers"),
        ({"mean": [math.nan, 1, 2], "std": [1, 1, 1]}, "'mean' must be three finite numbers"),
        ({"mean": [math.inf, 1, 2], "std": [1, 1, 1]}, "'mean' must be three finite numbers"),
        ({"mean": [True, 1, 2], "std": [1, 1, 1]}, "'mean' must be three finite numbers"),
        ({"mean": [1e39, 1, 2], "std": [1, 1, 1]}, "'mean' must be three finite numbers"),
        ({"mean": [1, 1, 2]}, "'mean' and 'std' must be given together"),
        ({"mean": [1, 1, 2], "std": [1e-50, 1, 1]}, "'std' must be numbers above 0"),
        ({"mean": [1, 1, 2], "std": [1e-45, 1, 1]}, "give values beyond single precision"),
        ({"std_again": [0, 1, 1]}, "'std_again' must be numbers above 0"),
        ({"rescale_factor": 10**400}, "'rescale_factor' is larger than any number of the type float"),
        ({"rescale_factor": math.nan}, "'rescale_factor' must be a finite number"),
        ({"rescale_factor": 1e300}, "give values beyond single precision"),
        ({"rescale_offset": -math.inf}, "'rescale_offset' must be a finite number"),
        ({"channels": "GBR"}, "'channels' must be RGB or BGR"),
        ({"size": {"height": 8000, "width": 8000}}, "at most 8192 and 16777216 together"),
        ({"size": {"longest_edge": 40}}, "'size' must give"),
        ({"size": {"height": 10**400, "width": 1}}, "'size' must give"),
        ({"rescale_factor": "1/255"}, "'rescale_factor' must be of the type float"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        ImagePreprocessor({"resample": 2, **options})
