"""Descriptions of a model: the protocol's metadata and Triton's configuration."""

from __future__ import annotations

import json
from typing import Any

from inferox.engine import ModelInfo
from inferox.server.oip.call_parameters import DEFAULT_PRIORITY, PRIORITY_LEVELS
from inferox.server.oip.exposure import Exposure


def describe_model(info: ModelInfo, exposure: Exposure) -> dict[str, Any]:
    """Returns the metadata of a model.

    Args:
        info: The model.
        exposure: Its exposure in the protocol.
    """
    return {
        "name": info.name,
        "versions": [info.version],
        "platform": _platform(info),
        "inputs": [tensor.describe() for tensor in exposure.inputs],
        "outputs": [tensor.describe() for tensor in exposure.outputs],
    }


def configure_model(info: ModelInfo, exposure: Exposure) -> dict[str, Any]:
    """Returns the configuration of a model, which Triton's clients and load generators request.

    Args:
        info: The model.
        exposure: Its exposure in the protocol.
    """
    has_batch = bool(exposure.max_batch)
    return {
        "name": info.name,
        "platform": _platform(info),
        "backend": info.artifact.partition("/")[0],
        "max_batch_size": exposure.max_batch,
        "input": [tensor.configure(has_batch=has_batch) for tensor in exposure.inputs],
        "output": [tensor.configure(has_batch=has_batch) for tensor in exposure.outputs],
        "dynamic_batching": {"priority_levels": PRIORITY_LEVELS, "default_priority_level": DEFAULT_PRIORITY},
        "parameters": {"task": {"string_value": info.task}, **_describe_prompts(info)},
    }


def _describe_prompts(info: ModelInfo) -> dict[str, dict[str, str]]:
    # A parameter is a string: the prompts, by name, are a JSON object in it.
    return {"prompts": {"string_value": json.dumps(dict(info.prompts), ensure_ascii=False)}} if info.prompts else {}


def _platform(info: ModelInfo) -> str:
    """Returns the runtime and the format, such as ``onnxruntime_onnx``."""
    return "_".join(info.artifact.split("/")[:2])
