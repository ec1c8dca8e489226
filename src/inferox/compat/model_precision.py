"""The precision of a model, which ``model_kwargs`` may request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferox.compat.unsupported import UnsupportedError, refuse_options
from inferox.core import ConfigError, dtype_name

_WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    "attn_implementation": ("eager", "sdpa"),
    "low_cpu_mem_usage": (True, False),
    "use_safetensors": (True,),
}
"""Arguments of models, with the values that only choose how the same weights are read or the same numbers computed."""

_FORMATS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
"""Precisions by the names of data types in PyTorch."""


def read_precision(owner: str, precision: Any, model_kwargs: Mapping[str, Any] | None) -> Any:
    """Returns the precision that ``model_kwargs`` requests, or else the given one.

    Args:
        owner: The class that is given them.
        precision: The precision to return if ``model_kwargs`` does not request one.
        model_kwargs: Arguments of the model; ``dtype`` and those without effect are supported.

    Raises:
        ConfigError: If they are not a mapping.
        UnsupportedError: If there is another argument, another value of one without effect, or another dtype.
    """
    if not isinstance(model_kwargs, Mapping | None):
        raise ConfigError(f"model_kwargs must map names to values, but is {model_kwargs!r}")
    given = {name: value for name, value in (model_kwargs or {}).items() if value is not None}
    subject = f"model_kwargs of inferox.compat.{owner}"
    for name in given.keys() & _WITHOUT_EFFECT:
        value = given.pop(name)
        if not any(value is known or (isinstance(value, str) and value == known) for known in _WITHOUT_EFFECT[name]):
            raise UnsupportedError(f"{subject} does not support {name}={value!r}", hint=f"leave {name} out")
    dtypes = [given.pop(name) for name in ("dtype", "torch_dtype") if name in given]
    refuse_options(subject, {}, given)
    for dtype in dtypes:
        named = (dtype_name(dtype) or str(dtype)).removeprefix("torch.")
        if named != "auto" and named not in _FORMATS:
            raise UnsupportedError(
                f"{subject} does not support the dtype {named}", hint=f"use one of {', '.join(_FORMATS)} and auto"
            )
        precision = _FORMATS.get(named, precision)
    return precision
