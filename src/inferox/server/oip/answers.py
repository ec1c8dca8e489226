"""The bodies of the protocol's HTTP responses, for the OpenAPI description."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType


class ReadyAnswer(Struct, forbid_unknown_fields=True):
    """The readiness of the server: whether every model can be computed, and if not, why."""

    ready: bool
    error: str | UnsetType = UNSET


class ModelReadyAnswer(ReadyAnswer, forbid_unknown_fields=True, kw_only=True):
    """The readiness of a model: whether it can be computed, and if not, why."""

    name: str


class ServerMetadata(Struct, forbid_unknown_fields=True):
    """The name, version and extensions of the server."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(Struct, forbid_unknown_fields=True):
    """An input or output tensor of a model."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Struct, forbid_unknown_fields=True):
    """The metadata of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class TensorConfiguration(Struct, forbid_unknown_fields=True):
    """A tensor in Triton's model configuration."""

    name: str
    data_type: str
    dims: list[int]
    reshape: dict[str, list[int]] | UnsetType = UNSET
    optional: bool | UnsetType = UNSET


class ModelConfiguration(Struct, forbid_unknown_fields=True):
    """A model in Triton's configuration."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    input: list[TensorConfiguration]
    output: list[TensorConfiguration]
    dynamic_batching: dict[str, int]
    parameters: dict[str, dict[str, str]]


class Duration(Struct, forbid_unknown_fields=True):
    """The number of times that something took place, and the total time in nanoseconds."""

    count: int
    ns: int


class InferStatistics(Struct, forbid_unknown_fields=True):
    """The durations of requests and of their stages."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class ModelStatistics(Struct, forbid_unknown_fields=True):
    """The statistics of a model; ``last_inference`` in milliseconds since 1970."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: InferStatistics


class StatisticsAnswer(Struct, forbid_unknown_fields=True):
    """The statistics of the models."""

    model_stats: list[ModelStatistics]


class IndexedModel(Struct, forbid_unknown_fields=True):
    """A model in the repository index."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class OutputTensor(Struct, forbid_unknown_fields=True):
    """An output, with its elements in ``data``, or as binary data after the JSON."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | UnsetType = UNSET
    parameters: dict[str, int] | UnsetType = UNSET


class InferAnswer(Struct, forbid_unknown_fields=True):
    """The results of an inference request."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    parameters: dict[str, str | int]
    id: str | UnsetType = UNSET


class OipErrorFacts(Struct, forbid_unknown_fields=True):
    """The error that Inferox's own client raises."""

    kind: str
    facts: dict[str, Any]


class OipErrorBody(Struct, forbid_unknown_fields=True):
    """The body of an error."""

    error: str
    inferox: OipErrorFacts
