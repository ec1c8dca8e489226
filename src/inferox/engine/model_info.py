"""Descriptions of the models that an engine has loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inferox.core import DeviceId, Signature
from inferox.engine.trials.stats import TrialInfo


@dataclass(frozen=True)
class ModelInfo:
    """The description of a model that an engine has loaded.

    Attributes:
        name: Its name in the engine.
        version: Its version.
        task: Its task, such as ``embed``.
        artifact: The artifact that computes it.
        device: The device that computes it.
        embedding_space: The id of its embedding space; ``None`` if that is not known.
        standby: The artifacts of the same embedding space that take over if it fails, the best first.
        is_loaded: Whether it is in memory; if not, it is loaded again on the next request.
        labels: Its labels, including ``latest``.
        dimension: The length of its vectors; ``None`` if its answers are not vectors.
        max_length: The most tokens of a row, including special tokens; ``None`` if there is no limit, or no tokens.
        prompts: The prompts that can be put before texts, by name; empty if there are none.
        class_labels: The labels of its classes, in the order of its logits; empty if there are none.
        signature: The tensors of requests and answers, if the task is ``raw``; otherwise ``None``.
        matryoshka_dims: The lengths to which its vectors may be cut, ascending, without their own.
        vector_ranges: The minima and the maxima of the numbers of its vectors; ``None`` if they were not measured.
        parity_class: The artifact's parity class from pack time; ``None`` if that is not known.
        trials: The artifacts that are tried beside it; see ``Engine.load``.
        offered: The artifacts that requests may select, by their names in requests; empty if there are none.
        pooling: The pooling of token vectors, such as ``mean``; ``None`` if its answers are not vectors.
    """

    name: str
    version: str
    task: str
    artifact: str
    device: DeviceId
    embedding_space: str | None
    standby: tuple[str, ...] = ()
    is_loaded: bool = True
    labels: tuple[str, ...] = ()
    dimension: int | None = None
    max_length: int | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    class_labels: tuple[str, ...] = ()
    signature: Signature | None = None
    pooling: str | None = None
    matryoshka_dims: tuple[int, ...] = ()
    vector_ranges: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    parity_class: str | None = None
    trials: tuple[TrialInfo, ...] = ()
    offered: Mapping[str, str] = field(default_factory=dict)
