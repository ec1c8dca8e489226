"""The kinds of image processor that transformers has for classifiers, and the defaults of each."""

from __future__ import annotations

from typing import Any

_HALF = [0.5, 0.5, 0.5]
_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
_CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
_BILINEAR, _BICUBIC = 2, 3
"""Pillow's numbers for the resampling methods."""


def _square(edge: int) -> dict[str, int]:
    return {"height": edge, "width": edge}


_PADDED = {"do_pad": None, "pad_size": None}
"""The settings of kinds that can pad."""

_COMPOSITED = {"do_convert_rgb": True}
"""The settings of kinds that composite transparent colours on white."""

_BASE: dict[str, Any] = {"default_to_square": True, "image_mean": _HALF, "image_std": _HALF}
_VIT = {**_BASE, "size": _square(224), "resample": _BILINEAR}
_CROPPED = {
    **_BASE,
    "default_to_square": False,
    "size": {"shortest_edge": 224},
    "do_center_crop": True,
    "crop_size": _square(224),
    "resample": _BICUBIC,
}
_MOBILENET = {**_CROPPED, "size": {"shortest_edge": 256}, "resample": _BILINEAR}

DEFAULTS: dict[str, dict[str, Any]] = {
    "ViT": {**_VIT, **_PADDED},
    "DeiT": {
        **_VIT,
        **_PADDED,
        "size": _square(256),
        "do_center_crop": True,
        "crop_size": _square(224),
        "resample": _BICUBIC,
    },
    "Beit": {**_VIT, "resample": _BICUBIC, "crop_size": _square(224)},
    "Siglip": {**_VIT, **_PADDED, **_COMPOSITED, "default_to_square": False, "resample": _BICUBIC},
    "Pvt": {**_VIT, **_PADDED, **_IMAGENET, "resample": _BICUBIC},
    "CLIP": {
        **_CROPPED,
        **_PADDED,
        **_COMPOSITED,
        **_CLIP,
        "use_square_size": None,
    },
    "Bit": {**_CROPPED, **_PADDED, **_COMPOSITED, **_CLIP},
    "MobileNetV1": {**_MOBILENET, **_PADDED},
    "MobileNetV2": _MOBILENET,
    "ConvNext": {
        **_BASE,
        "default_to_square": False,
        "size": {"shortest_edge": 384},
        "crop_pct": 224 / 256,
        "resample": _BICUBIC,
    },
    "EfficientNet": {
        **_VIT,
        "size": _square(346),
        "crop_size": _square(289),
        "resample": _BICUBIC,
        "rescale_offset": False,
        "include_top": True,
    },
    "Levit": {**_CROPPED, **_PADDED, **_IMAGENET},
    "MobileViT": {**_CROPPED, "crop_size": _square(256), "do_normalize": None, "do_flip_channel_order": True},
    "PoolFormer": {**_CROPPED, **_PADDED, **_IMAGENET, "crop_pct": 0.9},
    "Segformer": {**_VIT, **_IMAGENET, "size": _square(512)},
}
"""The defaults of each kind of image processor. Their keys are also the settings that the kind has beside
``COMMON_KEYS``."""

COMMON_KEYS = frozenset(
    {
        "do_convert_rgb",
        "do_resize",
        "size",
        "resample",
        "do_center_crop",
        "crop_size",
        "do_rescale",
        "rescale_factor",
        "do_normalize",
        "image_mean",
        "image_std",
        "do_pad",
        "pad_size",
        "default_to_square",
    }
)
"""The settings that every kind has, though some kinds ignore some of them."""

WITHOUT_EFFECT = frozenset(
    {
        "_processor_class",
        "_valid_kwargs_names",
        "_valid_processor_keys",
        "auto_map",
        "data_format",
        "device",
        "disable_grouping",
        "do_reduce_labels",
        "feature_extractor_type",
        "image_processor_type",
        "image_seq_length",
        "input_data_format",
        "processor_class",
        "reduce_labels",
        "return_tensors",
        "transformers_version",
    }
)
"""Settings without effect on the numbers of an RGB image."""

RETIRED = {
    "MobileViT": frozenset({"do_flip_channels"}),
    "PoolFormer": frozenset({"do_resize_and_center_crop"}),
}
"""Settings by which the first published models of a kind request what is its default anyway.

Later versions of transformers renamed them, and ignore the old names."""

KIND_BY_MODEL = {
    "beit": "Beit",
    "bit": "Bit",
    "clip": "CLIP",
    "convnext": "ConvNext",
    "convnextv2": "ConvNext",
    "cvt": "ConvNext",
    "data2vec-vision": "Beit",
    "deit": "DeiT",
    "dinat": "ViT",
    "dinov2": "Bit",
    "efficientnet": "EfficientNet",
    "focalnet": "Bit",
    "hiera": "Bit",
    "ijepa": "ViT",
    "levit": "Levit",
    "metaclip_2": "CLIP",
    "mobilenet_v1": "MobileNetV1",
    "mobilenet_v2": "MobileNetV2",
    "mobilevit": "MobileViT",
    "mobilevitv2": "MobileViT",
    "poolformer": "PoolFormer",
    "pvt": "Pvt",
    "pvt_v2": "Pvt",
    "regnet": "ConvNext",
    "resnet": "ConvNext",
    "segformer": "Segformer",
    "siglip": "Siglip",
    "swiftformer": "ViT",
    "swin": "ViT",
    "swinv2": "ViT",
    "vit": "ViT",
    "vit_msn": "ViT",
}
"""The kind of image processor by model type, for files that do not name it."""
