"""What a server answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt


@dataclass(frozen=True)
class InferAnswer:
    """What was computed of named tensors, and how.

    Attributes:
        outputs: The tensors by name; those of BYTES as arrays of ``bytes``.
        model: The model.
        version: Its version.
        artifact: The artifact that computed; ``None`` where the server does not say, as also below.
        parity_class: How well it agreed with the original when it was packed.
        embedding_space: The space in which vectors lie.
        cut_inputs: How many texts were cut.
        cut_items: Which texts were cut, from 0 and in order, where the server says so.
        request_id: What the server's log calls the request.
    """

    outputs: Mapping[str, npt.NDArray[Any]]
    model: str
    version: str | None
    artifact: str | None
    parity_class: str | None
    embedding_space: str | None
    cut_inputs: int
    cut_items: tuple[int, ...]
    request_id: str | None


@dataclass(frozen=True)
class ModelState:
    """A model that a server has.

    Attributes:
        name: Its name.
        version: Its version.
        is_ready: Whether it can be computed now.
        reason: Why not; empty where it can.
    """

    name: str
    version: str
    is_ready: bool
    reason: str


@dataclass(frozen=True)
class TensorMetadata:
    """A tensor that a model takes or gives.

    Attributes:
        name: Its name.
        datatype: The data type as the protocol calls it, such as ``FP32`` or ``BYTES``.
        shape: The extent of each axis; -1 where it may be any.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelMetadata:
    """What a model is.

    Attributes:
        name: Its name.
        versions: Its versions.
        platform: The runtime and the format, such as ``onnxruntime_onnx``.
        task: What its numbers mean, such as ``embed``; ``None`` where the server does not say.
        prompts: What can be put before texts, by name; ``None`` where the server does not say.
        inputs: The tensors that it takes.
        outputs: The tensors that it gives.
    """

    name: str
    versions: tuple[str, ...]
    platform: str
    task: str | None
    prompts: Mapping[str, str] | None
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
