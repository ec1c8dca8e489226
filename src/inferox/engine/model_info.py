"""The models that an engine has loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inferox.core import DeviceId, Signature
from inferox.engine.trials.stats import TrialInfo


@dataclass(frozen=True)
class ModelInfo:
    """A model that an engine has loaded.

    Attributes:
        name: Its name in the engine.
        version: Its version.
        task: What its numbers mean, such as ``embed``.
        artifact: The artifact that computes it.
        device: Where it computes.
        embedding_space: The id of the space in which its vectors lie; ``None`` if that is not known.
        standby: The artifacts of the same embedding space that take over where it fails, the best first.
        is_loaded: Whether it is in memory; where it is not, it is loaded again for the next request.
        labels: The labels that stand for it, ``latest`` among them.
        dimension: The length of its vectors; ``None`` if its answers are none.
        max_length: The most tokens of a row, special tokens included; ``None`` if there is no limit, or no tokens.
        prompts: What can be put before texts, by name; empty if there is nothing.
        class_labels: The labels that it tells apart, in the order of its logits; empty if there are none.
        signature: The tensors that requests give and get, where the task is ``raw``; otherwise ``None``.
        parity_class: How well the artifact agreed when it was packed; ``None`` if that is not known.
        trials: What is tried beside it; see ``Engine.load``.
        offered: The artifacts that requests may ask for, by what they call them; empty if there are none.
        pooling: How the vectors of tokens become one, such as ``mean``; ``None`` if its answers are no vectors.
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
    parity_class: str | None = None
    trials: tuple[TrialInfo, ...] = ()
    offered: Mapping[str, str] = field(default_factory=dict)
