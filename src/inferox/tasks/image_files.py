"""What a model's files say about its images: how they are resized, cropped and scaled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inferox.core import ConfigError, PackageError
from inferox.tasks.options import read_json

PREPROCESSOR_FILE = "preprocessor_config.json"

_HALF = [0.5, 0.5, 0.5]
_IMAGENET_MEAN, _IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
_CLIP_MEAN, _CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
_NEAREST, _LANCZOS, _BILINEAR, _BICUBIC = range(4)
"""Pillow's numbers for the ways to resample."""

_WARPED_FROM = 384
"""The edge from which ConvNeXt's recipe warps an image instead of cropping it."""


def _square(edge: int) -> dict[str, int]:
    return {"height": edge, "width": edge}


_VIT = {"size": _square(224), "resample": _BILINEAR, "image_mean": _HALF, "image_std": _HALF}
_CROPPED = {"size": {"shortest_edge": 224}, "do_center_crop": True, "crop_size": _square(224), "resample": _BICUBIC}
_MOBILENET = {
    **_CROPPED,
    "size": {"shortest_edge": 256},
    "resample": _BILINEAR,
    "image_mean": _HALF,
    "image_std": _HALF,
}

_DEFAULTS: dict[str, dict[str, Any]] = {
    "ViT": _VIT,
    "DeiT": {**_VIT, "size": _square(256), "do_center_crop": True, "crop_size": _square(224), "resample": _BICUBIC},
    "Beit": {**_VIT, "resample": _BICUBIC, "crop_size": _square(224)},
    "Siglip": {**_VIT, "resample": _BICUBIC},
    "Pvt": {**_VIT, "resample": _BICUBIC, "image_mean": _IMAGENET_MEAN, "image_std": _IMAGENET_STD},
    "CLIP": {**_CROPPED, "image_mean": _CLIP_MEAN, "image_std": _CLIP_STD},
    "Bit": {**_CROPPED, "image_mean": _CLIP_MEAN, "image_std": _CLIP_STD},
    "MobileNetV1": _MOBILENET,
    "MobileNetV2": _MOBILENET,
    "ConvNext": {
        "size": {"shortest_edge": 384},
        "crop_pct": 224 / 256,
        "resample": _BICUBIC,
        "image_mean": _HALF,
        "image_std": _HALF,
    },
}
"""What a kind of image processor does where the file is silent."""

_KIND_BY_MODEL = {
    "beit": "Beit",
    "bit": "Bit",
    "convnext": "ConvNext",
    "convnextv2": "ConvNext",
    "deit": "DeiT",
    "dinov2": "Bit",
    "mobilenet_v1": "MobileNetV1",
    "mobilenet_v2": "MobileNetV2",
    "pvt": "Pvt",
    "regnet": "ConvNext",
    "resnet": "ConvNext",
    "siglip": "Siglip",
    "swin": "ViT",
    "swinv2": "ViT",
    "vit": "ViT",
}
"""The kind of image processor of a type of model, where the file does not name it."""


def read_image_options(directory: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Reads how a model's images are prepared.

    Args:
        directory: The folder of the model.
        config: Its ``config.json``.

    Returns:
        The options that ``ImagePreprocessor`` takes, as JSON values: steps that the model leaves out are null.

    Raises:
        PackageError: If there is no ``preprocessor_config.json``, or it cannot be read.
        ConfigError: If it asks for steps that this task does not compute.
    """
    stated = read_json(directory / PREPROCESSOR_FILE)
    if stated is None:
        raise PackageError(
            f"there is no {PREPROCESSOR_FILE}, so how images are resized and scaled is unknown",
            hint="copy it from the model's origin, or use the task raw",
        )
    kind = _kind(stated, config)
    settings = {
        "do_resize": True,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        **_DEFAULTS[kind],
        **{name: value for name, value in stated.items() if value is not None},
    }
    default_size = _DEFAULTS[kind]["size"]
    size = _edges(settings["size"], square="height" in default_size or kind == "Siglip")
    crop = _edges(settings.get("crop_size"), square=True) if settings.get("do_center_crop") else None
    if kind == "ConvNext":
        size, crop = _convnext(size, settings, crop)
    return {
        "size": size if settings["do_resize"] else None,
        "resample": settings["resample"],
        "crop_size": crop,
        "rescale_factor": settings["rescale_factor"] if settings["do_rescale"] else None,
        "mean": settings["image_mean"] if settings["do_normalize"] else None,
        "std": settings["image_std"] if settings["do_normalize"] else None,
    }


def _kind(stated: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    named = stated.get("image_processor_type") or stated.get("feature_extractor_type")
    if not isinstance(named, str):
        named = _KIND_BY_MODEL.get(str(config.get("model_type")), "")
    kind = named
    for suffix in ("Fast", "Pil", "ImageProcessor", "FeatureExtractor"):
        kind = kind.removesuffix(suffix)
    unusual = [name for name in ("do_pad", "do_flip_channel_order") if stated.get(name)]
    if kind not in _DEFAULTS or unusual:
        raise ConfigError(
            f"{PREPROCESSOR_FILE} asks for {named or 'an unnamed image processor'}{' with ' * bool(unusual)}"
            f"{', '.join(unusual)}, which the task image-classify does not compute; it knows {', '.join(_DEFAULTS)}",
            hint="use the task raw, and prepare the images yourself",
        )
    return kind


def _edges(size: Any, *, square: bool) -> dict[str, int]:
    """A size by the names of its edges. Old files give a single number, which means what the kind's default means."""
    if isinstance(size, int) and not isinstance(size, bool):
        return _square(size) if square else {"shortest_edge": size}
    if isinstance(size, list) and len(size) == 2:  # noqa: PLR2004 - height and width
        return {"height": size[0], "width": size[1]}
    if not isinstance(size, dict) or not size:
        raise ConfigError(f"a size in {PREPROCESSOR_FILE} must be a number or name its edges, and is {size!r}")
    return {name: edge for name, edge in size.items() if edge is not None}


def _convnext(
    size: dict[str, int], settings: Mapping[str, Any], crop: dict[str, int] | None
) -> tuple[dict[str, int], dict[str, int] | None]:
    """ConvNeXt's recipe: small images are cropped from somewhat larger ones, large ones are warped."""
    edge = size.get("shortest_edge")
    if edge is None:
        raise ConfigError(f"the size in {PREPROCESSOR_FILE} must name its shortest_edge, and is {size}")
    if edge >= _WARPED_FROM:
        return _square(edge), crop
    return {"shortest_edge": int(edge / settings["crop_pct"])}, crop or _square(edge)
