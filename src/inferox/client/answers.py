"""The answers of a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt


@dataclass(frozen=True)
class InferAnswer:
    """The outputs of an inference request, and how they were computed.

    Attributes:
        outputs: The tensors, by name; BYTES tensors are arrays of ``bytes`` objects.
        model: The model.
        version: Its version.
        artifact: The artifact that computed them. It is ``None`` if the server does not report it, as are the
            following ones.
        parity_class: The measured agreement of the artifact with the reference.
        embedding_space: The id of the embedding space of vectors.
        cut_inputs: The number of texts that were cut.
        cut_items: The indices of the cut texts, in order; empty if the server does not report them.
        request_id: The id of the request in the server's log.
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
    """A model of a server, and its state.

    Attributes:
        name: Its name.
        version: Its version.
        is_ready: Whether it can be computed now.
        reason: The reason why it cannot; empty if it can.
    """

    name: str
    version: str
    is_ready: bool
    reason: str


@dataclass(frozen=True)
class TensorMetadata:
    """An input or output tensor of a model.

    Attributes:
        name: Its name.
        datatype: Its datatype in the protocol, such as ``FP32`` or ``BYTES``.
        shape: The extent of each axis; -1 for one that varies.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelMetadata:
    """The metadata of a model.

    Attributes:
        name: Its name.
        versions: Its versions.
        platform: The runtime and the format, such as ``onnxruntime_onnx``.
        task: Its task, such as ``embed``; ``None`` if the server does not report it.
        prompts: The prompts that can be put before texts, by name; ``None`` if the server does not report them.
        inputs: The input tensors.
        outputs: The output tensors.
    """

    name: str
    versions: tuple[str, ...]
    platform: str
    task: str | None
    prompts: Mapping[str, str] | None
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
