"""Descriptions of an engine's worker processes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WorkerInfo:
    """The description of a worker process of an engine.

    Attributes:
        pid: The id of the process.
        is_sandbox: Whether it computes only suspects: items that were in flight when another worker died.
        models: The names of the models that it can compute.
        requests: The number of requests that it has.
        is_shadow: Whether it computes only shadows; see ``Engine.load``.
    """

    pid: int
    is_sandbox: bool
    models: tuple[str, ...]
    requests: int
    is_shadow: bool = False
