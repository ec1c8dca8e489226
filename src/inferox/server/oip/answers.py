"""What the answers of the protocol hold over HTTP, as the description of its routes has it."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType


class ReadyAnswer(Struct, forbid_unknown_fields=True):
    """Whether every model can be computed, and why not."""

    ready: bool
    error: str | UnsetType = UNSET


class ModelReadyAnswer(ReadyAnswer, forbid_unknown_fields=True, kw_only=True):
    """Whether a model can be computed, and why not."""

    name: str


class ServerMetadata(Struct, forbid_unknown_fields=True):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(Struct, forbid_unknown_fields=True):
    """A tensor that a model takes or gives."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Struct, forbid_unknown_fields=True):
    """What a model is."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class TensorConfiguration(Struct, forbid_unknown_fields=True):
    """A tensor as Triton configures it."""

    name: str
    data_type: str
    dims: list[int]
    reshape: dict[str, list[int]] | UnsetType = UNSET
    optional: bool | UnsetType = UNSET


class ModelConfiguration(Struct, forbid_unknown_fields=True):
    """A model as Triton configures it."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    input: list[TensorConfiguration]
    output: list[TensorConfiguration]
    dynamic_batching: dict[str, int]
    parameters: dict[str, dict[str, str]]


class Duration(Struct, forbid_unknown_fields=True):
    """How often something took place, and how long that took together, in nanoseconds."""

    count: int
    ns: int


class InferStatistics(Struct, forbid_unknown_fields=True):
    """What took how long."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class ModelStatistics(Struct, forbid_unknown_fields=True):
    """What was computed with a model; ``last_inference`` in milliseconds since 1970."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: InferStatistics


class StatisticsAnswer(Struct, forbid_unknown_fields=True):
    """What was computed with each model."""

    model_stats: list[ModelStatistics]


class IndexedModel(Struct, forbid_unknown_fields=True):
    """A model of the repository."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class OutputTensor(Struct, forbid_unknown_fields=True):
    """An output, whose elements are here, or follow the JSON as binary data."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | UnsetType = UNSET
    parameters: dict[str, int] | UnsetType = UNSET


class InferAnswer(Struct, forbid_unknown_fields=True):
    """What was computed."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    parameters: dict[str, str | int]
    id: str | UnsetType = UNSET


class OipErrorFacts(Struct, forbid_unknown_fields=True):
    """An error as Inferox's own client raises it."""

    kind: str
    facts: dict[str, Any]


class OipErrorBody(Struct, forbid_unknown_fields=True):
    """The body of an error."""

    error: str
    inferox: OipErrorFacts
