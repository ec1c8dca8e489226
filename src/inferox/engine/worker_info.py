"""The worker processes of an engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WorkerInfo:
    """A worker process of an engine.

    Attributes:
        pid: The number of the process.
        is_sandbox: Whether it computes suspects alone: items that were in flight when another worker died.
        models: The names of the models that it can compute.
        requests: How many requests it has.
        is_shadow: Whether it computes shadows alone; see ``Engine.load``.
    """

    pid: int
    is_sandbox: bool
    models: tuple[str, ...]
    requests: int
    is_shadow: bool = False
