"""The settings of an engine: batching, admission, memory and isolation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from inferox.batching import MAX_ROWS, MAX_TOKENS
from inferox.core import ConfigError, positive_integer, shown
from inferox.core.seconds import positive_seconds
from inferox.machine import most_threads, resolve_threads

HANG_LIMIT_S = 10.0
"""The default of the least seconds after which a worker process's computation counts as hung."""

LOADING_TIMES = 10.0
"""The factor on the limits for a worker that is silent while it loads, or whose computation nobody waits for and that
has no learned limit yet."""

Isolation = Literal["thread", "process"]
"""The place where models are computed: this process, or worker processes."""


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """The settings of an engine.

    Attributes:
        threads: The number of CPU threads for all models together; ``None`` for one per core that this process may use.
        max_batch_tokens: The most tokens of a batch. A longer row is computed alone.
        max_batch_rows: The most rows of a batch.
        max_waiting_tokens: The most tokens that may wait for one model before requests are refused.
        cache_bytes: The memory of each model's answer cache, which serves equal rows of the same owner; 0 for no cache.
            Only answers of artifacts that are known to be batch invariant are cached.
        memory_limit_bytes: The memory limit of all models together and their batches on CPUs; ``None`` for no limit.
            Idle models are evicted for others, and loaded again on their next request.
        refuse_non_finite: Whether outputs of NaN or infinity for a row of finite inputs are an error; otherwise they
            are only counted.
        profiling: Whether to record a trace; see ``Engine.write_trace``.
        retry_s: The seconds after which an artifact that failed its stored samples is tried again; doubled each time
            that it fails again, up to 64 times as many.
        isolation: ``thread`` to compute models in this process, or ``process`` for worker processes, so that a crash of
            one affects nothing else.
        workers: The number of worker processes that share the threads and the requests; each has every model.
        hang_limit_s: The least seconds after which a worker process's computation counts as hung; ``None`` for 10. In
            any case it may take 20 times as long as the slowest recent one, in proportion to its size. A worker that
            does not respond for three times as long counts as hung as well. Computations in this process cannot be
            stopped, and have no limit.
        low_priority: Whether worker processes run at low CPU priority.

    Raises:
        ConfigError: If a value is out of range.
    """

    threads: int | None = None
    max_batch_tokens: int = MAX_TOKENS
    max_batch_rows: int = MAX_ROWS
    max_waiting_tokens: int = 1_000_000
    cache_bytes: int = 0
    memory_limit_bytes: int | None = None
    refuse_non_finite: bool = False
    profiling: bool = False
    retry_s: float = 5.0
    isolation: Isolation = "thread"
    workers: int = 1
    hang_limit_s: float | None = None
    low_priority: bool = False

    def __post_init__(self) -> None:
        may_be_none = ("threads", "memory_limit_bytes")
        for name in (*may_be_none, "max_batch_tokens", "max_batch_rows", "max_waiting_tokens", "workers"):
            value = getattr(self, name)
            if value is not None or name not in may_be_none:
                number = resolve_threads(value) if name == "threads" else positive_integer(name, value)
                object.__setattr__(self, name, number)
        if type(self.cache_bytes) is not int or self.cache_bytes < 0:
            raise ConfigError(f"cache_bytes must be an integer of 0 or more, but is {shown(self.cache_bytes)}")
        for name in ("refuse_non_finite", "profiling", "low_priority"):
            if type(getattr(self, name)) is not bool:
                raise ConfigError(f"{name} must be True or False, but is {shown(getattr(self, name))}")
        object.__setattr__(self, "retry_s", positive_seconds("retry_s", self.retry_s))
        if self.hang_limit_s is not None:
            object.__setattr__(self, "hang_limit_s", positive_seconds("hang_limit_s", self.hang_limit_s))
        if self.workers > most_threads():
            raise ConfigError(f"workers may be at most {most_threads():,} on this machine, but is {self.workers:,}")
        self._check_isolation()

    def _check_isolation(self) -> None:
        if self.isolation not in get_args(Isolation):
            raise ConfigError(f"isolation must be 'thread' or 'process', but is {self.isolation!r}")
        if self.isolation == "thread" and self.workers != 1:
            raise ConfigError(f"workers is {self.workers}, but isolation is 'thread'", hint="add isolation='process'")
        if self.isolation == "thread" and self.low_priority:
            raise ConfigError("low_priority needs worker processes", hint="add isolation='process'")
        if self.isolation == "thread" and self.hang_limit_s is not None:
            raise ConfigError(
                f"hang_limit_s is {self.hang_limit_s!r}, but a computation within this process cannot be stopped",
                hint="add isolation='process', or set deadlines",
            )

    def of_worker(self) -> EngineConfig:
        """Returns the settings of one of ``workers`` processes, with its share of the threads and the memory."""
        threads = max(1, resolve_threads(self.threads) // self.workers)
        memory = self.memory_limit_bytes and max(1, self.memory_limit_bytes // self.workers)
        return replace(self, threads=threads, memory_limit_bytes=memory)
