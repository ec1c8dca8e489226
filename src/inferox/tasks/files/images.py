"""The image preprocessing that a model's files state: how images are resized, cropped and scaled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inferox.core import ConfigError, ManifestError, PackageError
from inferox.tasks.files.image_kinds import COMMON_KEYS, DEFAULTS, KIND_BY_MODEL, RETIRED, WITHOUT_EFFECT
from inferox.tasks.image_preprocessor import ImagePreprocessor
from inferox.tasks.options import read_json

PREPROCESSOR_FILE = "preprocessor_config.json"

PROCESSOR_FILE = "processor_config.json"
"""The file where newer versions of transformers keep the same settings, under the key ``image_processor``."""

_WARPED_FROM = 384
"""The edge from which ConvNeXt's recipe warps an image instead of cropping it."""

_LEVIT_SCALE = 256 / 224
_RAW_HINT = "use the task raw, and prepare the images yourself"


def image_settings_file(directory: Path) -> str:
    """Returns the name of the file with a model's image processor settings: the one that transformers prefers.

    Args:
        directory: The folder of the model.

    Raises:
        PackageError: If a file cannot be read.
    """
    nested = (read_json(directory / PROCESSOR_FILE) or {}).get("image_processor")
    return PREPROCESSOR_FILE if nested is None else PROCESSOR_FILE


def read_image_options(directory: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Reads how a model's images are prepared.

    Every setting is interpreted as by the Pillow-based image processors of transformers 5.23, which includes ignoring
    it where they do; a setting that they do not have is refused.

    Args:
        directory: The folder of the model.
        config: Its ``config.json``.

    Returns:
        The options of ``ImagePreprocessor``, as JSON values: steps that the model omits are null.

    Raises:
        PackageError: If there is no ``preprocessor_config.json``, or it cannot be read.
        ConfigError: If it requests steps that this task does not support, or a setting has the wrong type or value.
    """
    file, stated = _read_settings(directory)
    kind = _kind(file, stated, config)
    settings = {
        "do_resize": True,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        **DEFAULTS[kind],
        # Null does not mean the default: transformers treats it as a step that is off, or as a missing value.
        **stated,
    }
    try:
        options = _options(kind, settings)
        ImagePreprocessor(options)
    except (ConfigError, ManifestError) as error:
        raise ConfigError(f"{file}: {error.message}", hint=error.hint or _RAW_HINT) from error
    return options


def _read_settings(directory: Path) -> tuple[str, dict[str, Any]]:
    file = image_settings_file(directory)
    stated = read_json(directory / file)
    if stated is not None and file == PROCESSOR_FILE:
        stated = stated["image_processor"]
        if not isinstance(stated, dict):
            raise PackageError(f"'image_processor' in {file} must be an object, but is a {type(stated).__name__}")
    if stated is None:
        raise PackageError(
            f"there is no {PREPROCESSOR_FILE}, so how images are resized and scaled is unknown",
            hint="copy it from the model's origin, or use the task raw",
        )
    return file, stated


def _kind(file: str, stated: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    named = stated.get("image_processor_type") or stated.get("feature_extractor_type")
    if not isinstance(named, str):
        named = KIND_BY_MODEL.get(str(config.get("model_type")), "")
    kind = named
    for suffix in ("Fast", "Pil", "ImageProcessor", "FeatureExtractor"):
        kind = kind.removesuffix(suffix)
    if kind not in DEFAULTS:
        raise ConfigError(
            f"{file} names {named or 'no known image processor'}, but the task image-classify supports only "
            f"{', '.join(DEFAULTS)}",
            hint=_RAW_HINT,
        )
    known = COMMON_KEYS | DEFAULTS[kind].keys() | RETIRED.get(kind, frozenset()) | WITHOUT_EFFECT
    # A step that is off is not requested.
    asked = {name: value for name, value in stated.items() if name not in known and value not in (None, False)}
    if asked:
        listed = ", ".join(f"{name} ({value!r})" for name, value in asked.items())
        raise ConfigError(
            f"{file} has settings that the image processor {named} of transformers does not know: {listed}",
            hint="remove them if the model was made without them, or use the task raw and prepare the images yourself",
        )
    return kind


def _options(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    size, first_crop = _size_steps(kind, settings)
    crops = _flag(settings, "do_center_crop") and kind != "Segformer"
    normalizes = _flag(settings, "do_normalize") and kind != "MobileViT"
    pads = _flag(settings, "do_pad") and settings.get("pad_size") is not None and "do_pad" in DEFAULTS[kind]
    rescales = _flag(settings, "do_rescale")
    _check_stated(settings, {"do_resize": ("size", "resample"), "do_center_crop": ("crop_size",)})
    _check_stated(settings, {"do_rescale": ("rescale_factor",), "do_normalize": ("image_mean", "image_std")})
    options = {
        "size": size,
        "resample": settings["resample"] if size else 0,
        "first_crop_size": first_crop,
        "crop_size": _edges(settings, "crop_size", square=True) if crops else None,
        "rescale_factor": settings["rescale_factor"] if rescales else None,
        "mean": _channels(settings["image_mean"]) if normalizes else None,
        "std": _channels(settings["image_std"]) if normalizes else None,
    }
    # Most models do not use these.
    rare = {
        "rescale_offset": -1.0 if rescales and _flag(settings, "rescale_offset") else None,
        "std_again": _channels(settings["image_std"]) if _flag(settings, "include_top") else None,
        "channels": "BGR" if _flag(settings, "do_flip_channel_order") else None,
        "pad_size": _edges(settings, "pad_size", square=True) if pads else None,
        "composite_on_white": _flag(settings, "do_convert_rgb") or None,
    }
    return options | {name: value for name, value in rare.items() if value is not None}


def _check_stated(settings: Mapping[str, Any], needed: Mapping[str, tuple[str, ...]]) -> None:
    """Checks what transformers checks, even for kinds that ignore the step."""
    for flag, names in needed.items():
        missing = [name for name in names if settings.get(name) is None] if _flag(settings, flag) else []
        if missing:
            raise ConfigError(
                f"{flag!r} is true, but {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} null"
            )


def _size_steps(kind: str, settings: Mapping[str, Any]) -> tuple[dict[str, int] | None, dict[str, int] | None]:
    """Returns the size to which an image is resized, and the size that is cropped from it right after."""
    if not _flag(settings, "do_resize"):
        return None, None
    square = _flag(settings, "default_to_square")
    if kind == "CLIP" and _flag(settings, "use_square_size"):
        return {"height": 224, "width": 224}, None
    size = _edges(settings, "size", square=square)
    edge = size.get("shortest_edge")
    if kind == "ConvNext":
        if edge is None:
            raise ConfigError(f"'size' must name its shortest_edge, but is {size}")
        if edge >= _WARPED_FROM:
            return {"height": edge, "width": edge}, None
        return {"shortest_edge": _divide(edge, settings)}, {"height": edge, "width": edge}
    if "max_height" in size and kind in {"PoolFormer", "Levit"}:
        raise ConfigError(f"'size' must give height and width or shortest_edge, but is {size}")
    if kind == "PoolFormer" and settings["crop_pct"] is not None:
        height, width = size.get("height"), size.get("width")
        edge = height if height == width and height is not None else edge
        if edge is not None:
            return {"shortest_edge": _divide(edge, settings)}, None
        return {name: _divide(extent, settings) for name, extent in size.items()}, None
    if kind == "Levit" and edge is not None:
        return {"shortest_edge": int(_LEVIT_SCALE * edge)}, None
    return size, None


def _divide(extent: int, settings: Mapping[str, Any]) -> int:
    share = settings["crop_pct"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise ConfigError(f"'crop_pct' must be a number above 0 and at most 1, but is {share!r}")
    return int(min(extent / share, 2**31))


def _flag(settings: Mapping[str, Any], name: str) -> bool:
    value = settings.get(name)
    if value is not None and not isinstance(value, bool):
        raise ConfigError(f"{name!r} must be true or false, but is {value!r}")
    return bool(value)


def _channels(numbers: Any) -> Any:
    """Expands a single number to all channels, which transformers accepts as well."""
    is_number = isinstance(numbers, int | float) and not isinstance(numbers, bool)
    return [numbers] * 3 if is_number else numbers


def _edges(settings: Mapping[str, Any], name: str, *, square: bool) -> dict[str, int]:
    """Reads a size by the names of its edges. A single number, as in old files, means what the kind's default means."""
    size = settings.get(name)
    if isinstance(size, int) and not isinstance(size, bool):
        return {"height": size, "width": size} if square else {"shortest_edge": size}
    if isinstance(size, list) and len(size) == 2:  # noqa: PLR2004 - height and width
        size = {"height": size[0], "width": size[1]}
    if not isinstance(size, dict) or not size or not all(type(edge) is int for edge in size.values()):
        raise ConfigError(f"{name!r} must be a number of pixels or name its edges, but is {size!r}")
    return size
