"""Image settings as well-known checkpoints publish them, many written by old versions, against transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import AutoImageProcessor

from inferox.tasks.files.images import read_image_options
from inferox.tasks.image_preprocessor import ImagePreprocessor

from .test_images import picture

HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
OLD = {"do_normalize": True, "do_resize": True}
NEW = {**OLD, "do_rescale": True, "rescale_factor": 0.00392156862745098}
SQUARE = {"height": 224, "width": 224}

PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "google/vit-base-patch16-224": ("vit", {**NEW, **HALF, "image_processor_type": "ViTImageProcessor", "resample": 2,
                                            "size": SQUARE}),
    "google/vit-base-patch16-384": ("vit", {**OLD, **HALF, "size": 384}),
    "nateraw/vit-age-classifier": ("vit", {**OLD, **HALF, "feature_extractor_type": "ViTFeatureExtractor",
                                           "resample": 2, "size": 224}),
    "Falconsai/nsfw_image_detection": ("vit", {**NEW, **HALF, "image_processor_type": "ViTImageProcessor",
                                               "resample": 2, "size": SQUARE}),
    "facebook/vit-msn-base": ("vit_msn", {**OLD, **IMAGENET, "feature_extractor_type": "ViTFeatureExtractor",
                                          "resample": 2, "size": 224}),
    "facebook/deit-base-patch16-224": ("deit", {**OLD, **IMAGENET, "crop_size": 224, "do_center_crop": True,
                                                "feature_extractor_type": "DeiTFeatureExtractor", "resample": 3,
                                                "size": 256}),
    "microsoft/swin-tiny-patch4-window7-224": ("swin", {**OLD, **IMAGENET, "resample": 3, "size": 224,
                                                        "feature_extractor_type": "ViTFeatureExtractor"}),
    "microsoft/swinv2-tiny-patch4-window8-256": ("swinv2", {**NEW, **IMAGENET, "resample": 3,
                                                            "image_processor_type": "ViTImageProcessor",
                                                            "size": {"height": 256, "width": 256}}),
    "microsoft/beit-base-patch16-224": ("beit", {**OLD, **HALF, "crop_size": 224, "do_center_crop": False,
                                                 "feature_extractor_type": "BeitFeatureExtractor", "resample": 2,
                                                 "size": 224}),
    "microsoft/dit-base-finetuned-rvlcdip": ("beit", {**OLD, **HALF, "crop_size": 224, "do_center_crop": False,
                                                      "feature_extractor_type": "BeitFeatureExtractor",
                                                      "reduce_labels": False, "resample": 3, "size": 224}),
    "microsoft/resnet-50": ("resnet", {**OLD, **IMAGENET, "crop_pct": 0.875, "resample": 3, "size": 224,
                                       "feature_extractor_type": "ConvNextFeatureExtractor"}),
    "microsoft/cvt-13": ("cvt", {**OLD, **IMAGENET, "crop_pct": 0.875, "resample": 3, "size": 224,
                                 "feature_extractor_type": "ConvNextFeatureExtractor"}),
    "facebook/convnext-base-384": ("convnext", {**OLD, **IMAGENET, "crop_pct": None, "resample": 3, "size": 384,
                                                "feature_extractor_type": "ConvNextFeatureExtractor"}),
    "facebook/convnextv2-tiny-1k-224": ("convnextv2", {**NEW, **IMAGENET, "crop_pct": 0.875, "resample": 3,
                                                       "image_processor_type": "ConvNextImageProcessor",
                                                       "size": {"shortest_edge": 224}}),
    "facebook/regnet-y-040": ("regnet", {**OLD, **IMAGENET, "crop_pct": 0.875, "resample": 3, "size": 224,
                                         "feature_extractor_type": "ConvNextFeatureExtractor"}),
    "facebook/levit-128S": ("levit", {**OLD, **IMAGENET, "do_center_crop": True, "resample": 3, "size": 224,
                                      "feature_extractor_type": "LevitFeatureExtractor"}),
    "facebook/dinov2-base-imagenet1k-1-layer": ("dinov2", {**NEW, **IMAGENET, "crop_size": SQUARE, "resample": 3,
                                                           "do_center_crop": True, "do_convert_rgb": True,
                                                           "image_processor_type": "BitImageProcessor",
                                                           "size": {"shortest_edge": 256}}),
    "facebook/hiera-tiny-224-in1k-hf": ("hiera", {**NEW, **IMAGENET, "crop_size": SQUARE, "do_center_crop": True,
                                                  "do_convert_rgb": None, "image_processor_type": "BitImageProcessor",
                                                  "resample": 3, "size": {"shortest_edge": 256}}),
    "google/bit-50": ("bit", {**NEW, **HALF, "crop_size": {"height": 448, "width": 448}, "do_center_crop": True,
                              "do_convert_rgb": True, "image_processor_type": "BitImageProcessor", "resample": 2,
                              "size": {"shortest_edge": 448}}),
    "microsoft/focalnet-tiny": ("focalnet", {**NEW, **IMAGENET, "crop_size": SQUARE, "do_center_crop": True,
                                             "do_convert_rgb": True, "image_processor_type": "BitImageProcessor",
                                             "resample": 3, "size": {"shortest_edge": 256}}),
    "google/efficientnet-b0": ("efficientnet", {**NEW, "crop_size": {"height": 289, "width": 289}, "resample": 0,
                                                "do_center_crop": False, "include_top": True, "rescale_offset": False,
                                                "image_mean": [0.485, 0.456, 0.406], "size": SQUARE,
                                                "image_std": [0.47853944, 0.4732864, 0.47434163],
                                                "image_processor_type": "EfficientNetImageProcessor"}),
    "google/mobilenet_v1_0.75_192": ("mobilenet_v1", {**NEW, **HALF, "crop_size": {"height": 192, "width": 192},
                                                      "do_center_crop": True, "resample": 2,
                                                      "feature_extractor_type": "MobileNetV1FeatureExtractor",
                                                      "size": {"shortest_edge": 222}}),
    "google/mobilenet_v2_1.0_224": ("mobilenet_v2", {**NEW, **HALF, "crop_size": SQUARE, "do_center_crop": True,
                                                     "image_processor_type": "MobileNetV2ImageProcessor",
                                                     "resample": 2, "size": {"shortest_edge": 256}}),
    "apple/mobilevit-small": ("mobilevit", {"crop_size": 256, "do_center_crop": True, "do_flip_channels": True,
                                            "do_resize": True, "feature_extractor_type": "MobileViTFeatureExtractor",
                                            "resample": 2, "size": 288}),
    "apple/mobilevitv2-1.0-imagenet1k-256": ("mobilevitv2", {"crop_size": {"height": 256, "width": 256},
                                                             "do_center_crop": True, "do_flip_channel_order": True,
                                                             "do_rescale": True, "do_resize": True, "resample": 2,
                                                             "image_processor_type": "MobileViTImageProcessor",
                                                             "rescale_factor": 0.00392156862745098,
                                                             "size": {"shortest_edge": 288}}),
    "sail/poolformer_s12": ("poolformer", {"crop_pct": 0.9, "do_normalize": True, "do_resize_and_center_crop": True,
                                           "feature_extractor_type": "PoolFormerFeatureExtractor", **IMAGENET,
                                           "resample": 3, "size": 224}),
    "nvidia/mit-b0": ("segformer", {**OLD, **IMAGENET, "feature_extractor_type": "SegformerFeatureExtractor",
                                    "reduce_labels": False, "resample": 2, "size": 512}),
    "MBZUAI/swiftformer-xs": ("swiftformer", {**NEW, **HALF, "image_processor_type": "ViTImageProcessor",
                                              "resample": 3, "size": SQUARE}),
    "Xrenya/pvt-tiny-224": ("pvt", {**NEW, **IMAGENET, "image_processor_type": "PvtImageProcessor", "resample": 2,
                                    "size": SQUARE}),
    "openai/clip-vit-base-patch32": ("clip", {**OLD, **CLIP, "crop_size": 224, "do_center_crop": True,
                                              "feature_extractor_type": "CLIPFeatureExtractor", "resample": 3,
                                              "size": 224}),
    "google/siglip-base-patch16-224": ("siglip", {**NEW, **HALF, "image_processor_type": "SiglipImageProcessor",
                                                  "processor_class": "SiglipProcessor", "resample": 3,
                                                  "size": SQUARE}),
    "google/siglip2-base-patch16-224": ("siglip", {**NEW, **HALF, "data_format": "channels_first", "device": None,
                                                   "crop_size": None, "default_to_square": True,
                                                   "disable_grouping": None, "do_center_crop": None,
                                                   "do_convert_rgb": None, "input_data_format": None,
                                                   "image_processor_type": "SiglipImageProcessorFast",
                                                   "processor_class": "SiglipProcessor", "resample": 2,
                                                   "return_tensors": None, "size": SQUARE}),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_mean_what_they_mean_to_transformers(tmp_path: Path, name: str) -> None:
    model_type, stated = PUBLISHED[name]
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stated))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    processor: Any = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")

    prepare = ImagePreprocessor(read_image_options(tmp_path, {"model_type": model_type}))

    for image in (picture(500, 670), picture(70, 41)):
        (expected,) = processor(Image.fromarray(image), return_tensors="np")["pixel_values"]
        np.testing.assert_array_equal(prepare(image, "an image"), expected)
