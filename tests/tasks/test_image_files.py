"""Image settings in a model's files, against transformers' own image processors."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from transformers import AutoImageProcessor
from transformers.image_utils import load_image
from transformers.models.auto import image_processing_auto
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.mobilenet_v2.image_processing_pil_mobilenet_v2 import MobileNetV2ImageProcessorPil
from transformers.models.pvt.image_processing_pil_pvt import PvtImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from inferox.core import ConfigError, PackageError
from inferox.tasks.files.image_kinds import DEFAULTS, KIND_BY_MODEL
from inferox.tasks.files.images import image_settings_file, read_image_options
from inferox.tasks.image_preprocessor import ImagePreprocessor
from inferox.tasks.image_samples import sample_images
from inferox.tasks.images import read_image

from .test_images import SHAPES, picture


def prepare(directory: Path, image: Any, model_type: str = "vit") -> npt.NDArray[np.float32]:
    options = json.loads(json.dumps(read_image_options(directory, {"model_type": model_type})))
    preprocessor = ImagePreprocessor(options)
    read = read_image(image, "image 0", composite_on_white=preprocessor.composite_on_white)
    return preprocessor(read, "image 0")


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


SETTINGS: list[dict[str, Any]] = [
    {},
    {"size": 48},
    {"size": 48, "default_to_square": True},
    {"size": 48, "default_to_square": False},
    {"size": [40, 56]},
    {"size": {"shortest_edge": 48}},
    {"size": {"height": 40, "width": 40}},
    {"size": {"shortest_edge": 30, "longest_edge": 50}},
    {"size": {"max_height": 30, "max_width": 50}},
    {"size": {"longest_edge": 50}},
    {"size": {"height": 40, "width": 56, "shortest_edge": None}},
    {"size": {"shortest_edge": 101}, "do_center_crop": True, "crop_size": 52},
    {"do_center_crop": True, "crop_size": [33, 251]},
    {"do_center_crop": True, "crop_size": {"shortest_edge": 33}},
    {"do_center_crop": False},
    {"do_resize": False},
    {"do_rescale": False},
    {"do_rescale": False, "do_normalize": False},
    {"do_normalize": True, "image_mean": 0.3, "image_std": 0.7},
    {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "size": 64, "resample": 1},
    {"rescale_factor": 1 / 127.5, "rescale_offset": True},
    {"include_top": False},
    {"do_flip_channel_order": False},
    {"do_pad": True},
    {"do_pad": True, "pad_size": {"height": 600, "width": 610}},
    {"crop_pct": 0.77, "size": 100},
    {"use_square_size": True},
    {"do_convert_rgb": False, "data_format": "channels_last", "input_data_format": "channels_last"},
    *({name: None} for name in ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_pad", "size")),
    *({name: None} for name in ("crop_size", "image_mean", "default_to_square", "include_top", "crop_pct")),
    {"do_flip_channel_order": None},
]


@pytest.mark.parametrize("kind", list(DEFAULTS))
def test_every_setting_of_every_kind_means_what_it_means_to_transformers(tmp_path: Path, kind: str) -> None:
    images = [picture(60, 91), picture(7, 5)]
    compared, refused = 0, []
    for stated in SETTINGS:
        written = {"image_processor_type": f"{kind}ImageProcessor", **stated}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(written))
        try:
            processor: Any = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
            expected = [processor(Image.fromarray(image), return_tensors="np")["pixel_values"][0] for image in images]
        except (ValueError, TypeError, AttributeError):
            expected = None
        try:
            prepared = [prepare(tmp_path, image) for image in images]
        except ConfigError as error:
            refused.append((stated, expected is not None, error.message))
            continue
        assert expected is not None, stated
        for one, other in zip(prepared, expected, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=str(stated))
            compared += 1
    assert compared > len(SETTINGS)
    # What transformers computes is only refused if it disregards what the file states.
    assert [item for item in refused if item[1] and "of transformers does not know" not in item[2]] == []


@pytest.mark.parametrize("convert", [None, True, False])
@pytest.mark.parametrize("kind", ["ViT", "CLIP", "Siglip", "Bit", "ConvNext"])
@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_transparency_in_every_form_ends_as_with_transformers(tmp_path: Path, kind: str, convert: bool | None) -> None:
    stated = {"image_processor_type": f"{kind}ImageProcessor", "size": 40} | (
        {} if convert is None else {"do_convert_rgb": convert}
    )
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stated))
    processor: Any = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    for content in [*sample_images(), *colour_keys()]:
        (expected,) = processor(load_image(Image.open(io.BytesIO(content))), return_tensors="np")["pixel_values"]
        for image in (content, Image.open(io.BytesIO(content))):
            np.testing.assert_array_equal(prepare(tmp_path, image), expected)


def colour_keys() -> list[bytes]:
    """Images whose transparent colour covers a large part of them."""
    stripes = np.zeros((30, 40, 3), dtype=np.uint8)
    stripes[:, ::2] = [200, 30, 90]
    image = Image.fromarray(stripes)
    contents = []
    for changed, transparency in (
        (image, (200, 30, 90)),
        (image.convert("L"), 0),
        (image.quantize(2), 0),
        (image.quantize(2), 1),
    ):
        file = io.BytesIO()
        changed.save(file, "PNG", transparency=transparency)
        contents.append(file.getvalue())
    return contents


def test_settings_inside_a_processor_come_first(tmp_path: Path) -> None:
    ViTImageProcessorPil(size={"height": 20, "width": 20}).save_pretrained(tmp_path)
    inner = {"image_processor_type": "ViTImageProcessor", "size": {"height": 30, "width": 40}}
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": inner}))

    prepared = prepare(tmp_path, picture(50, 50))

    processor: Any = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    (expected,) = processor(Image.fromarray(picture(50, 50)), return_tensors="np")["pixel_values"]
    np.testing.assert_array_equal(prepared, expected)
    assert prepared.shape == (3, 30, 40)
    assert image_settings_file(tmp_path) == "processor_config.json"


def test_the_kind_of_every_model_is_that_of_transformers() -> None:
    names: Any = vars(image_processing_auto)["IMAGE_PROCESSOR_MAPPING_NAMES"]
    for model_type, kind in KIND_BY_MODEL.items():
        assert names[model_type]["pil"] == f"{kind}ImageProcessorPil"


@pytest.mark.parametrize(
    ("stated", "model_type", "reference"),
    [
        # As in the first published checkpoints of these models.
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
        ({"size": 288, "crop_pct": 0.9}, "regnet", ConvNextImageProcessorPil),
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


@pytest.mark.parametrize(
    ("stated", "error", "message"),
    [
        (None, PackageError, r"there is no preprocessor_config\.json"),
        ("[]", PackageError, r"preprocessor_config\.json must be a JSON object"),
        ("{", PackageError, r"preprocessor_config\.json is not JSON"),
        ('{"image_processor_type": "DonutImageProcessor"}', ConfigError, "names DonutImageProcessor, but"),
        (
            '{"image_processor_type": "ViTImageProcessor", "do_thumbnail": true, "crop_pct": 0.9}',
            ConfigError,
            r"image processor ViTImageProcessor .* does not know: do_thumbnail \(True\), crop_pct \(0\.9\)",
        ),
        (
            '{"image_processor_type": "ViTImageProcessor", "size": "big"}',
            ConfigError,
            "'size' must be a number of pixels",
        ),
        (
            '{"image_processor_type": "ViTImageProcessor", "size": 1e400}',
            PackageError,
            "size: the number 1e400 is too large",
        ),
        (
            '{"image_processor_type": "ViTImageProcessor", "size": true}',
            ConfigError,
            "'size' must be a number of pixels",
        ),
        ('{"image_processor_type": "ViTImageProcessor", "size": 0}', ConfigError, "'size' must give"),
        (
            '{"image_processor_type": "ViTImageProcessor", "do_resize": "no"}',
            ConfigError,
            "'do_resize' must be true or fal",
        ),
        (
            '{"image_processor_type": "ViTImageProcessor", "image_std": [0, 1, 1]}',
            ConfigError,
            "'std' must be numbers abo",
        ),
        ('{"image_processor_type": "ViTImageProcessor", "image_std": NaN}', PackageError, "image_std: NaN is not"),
        (
            '{"image_processor_type": "ViTImageProcessor", "rescale_factor": NaN}',
            PackageError,
            "rescale_factor: NaN is not",
        ),
        (
            '{"image_processor_type": "ViTImageProcessor", "resample": null}',
            ConfigError,
            "is true, but resample is null",
        ),
        (
            '{"image_processor_type": "PoolFormerImageProcessor", "crop_pct": 0}',
            ConfigError,
            "'crop_pct' must be a number",
        ),
        (
            '{"image_processor_type": "TimmWrapperImageProcessor"}',
            ConfigError,
            "names TimmWrapperImageProcessor, but",
        ),
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
