"""The memory budget that the models of an engine share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from inferox.core import ConfigError
from inferox.engine.monitor import Monitor
from inferox.machine import MemoryGauge, MemoryLimit
from inferox.machine.memory import release_free_memory

if TYPE_CHECKING:
    from inferox.loading import TaskModel

_WAIT_S = 0.05
"""The seconds after which a model that waits for memory checks again whether another can be evicted."""


class Evictable(ABC):
    """A model whose memory may be freed for a while.

    Attributes:
        used_s: When it was last used, on the clock of ``time.monotonic``.
    """

    used_s: float

    @property
    @abstractmethod
    def can_return(self) -> bool:
        """True if it can be loaded again, and so be evicted at all."""

    @property
    @abstractmethod
    def is_wanted(self) -> bool:
        """True if requests wait for it."""

    @abstractmethod
    def evict(self) -> bool:
        """Frees its memory, unless it is in use.

        Returns:
            Whether it was freed.
        """

    @abstractmethod
    def pause(self) -> bool:
        """Begins no further batch until ``resume``, so that the model can be evicted soon.

        Returns:
            Whether it pauses.
        """

    @abstractmethod
    def resume(self) -> None:
        """Ends a pause."""


class MemoryBudget:
    """The memory budget that the models of an engine share. Thread-safe.

    If there is no room for a model, the least recently used idle ones are evicted. If all are busy, one that was not
    only just loaded pauses after its batch, and is then evicted. If the memory of the container is short, idle models
    are evicted as well, but never waited for, as the memory that they free is only an estimate.

    Args:
        limit_bytes: The most memory of all models and their batches; ``None`` for no limit.
        sharers: The number of processes that compute batches in the same container, this one included.
        read_container: Reads the limit of the container, if there is one; by default, this process's.

    Attributes:
        running: The number of batches being computed, and of models being loaded.
        begun: The number of both begun so far.
        releases: The number of times that free memory was returned to the system.
    """

    def __init__(
        self,
        limit_bytes: int | None,
        *,
        sharers: int = 1,
        read_container: Callable[[], MemoryLimit | None] | None = None,
    ) -> None:
        self._limit_bytes = limit_bytes
        self._sharers = sharers
        self._read_container = read_container or MemoryGauge()
        self._condition = Monitor()
        self._held: dict[Evictable, int] = {}
        self._reserved_bytes = self._running_bytes = self._running_batches = 0
        self.running = self.begun = self.releases = 0

    @contextmanager
    def reserve(self, size_bytes: int) -> Iterator[None]:
        """Makes room for a model that the block loads, and reserves it until the block ends; ``hold`` then counts it.

        Args:
            size_bytes: The approximate memory of the model.

        Raises:
            ConfigError: If there would be no room even if every evictable model were evicted.
        """
        with self._condition:
            self._make_room(size_bytes)
            self._reserved_bytes += size_bytes
            self._begin()
        try:
            yield
        finally:
            with self._condition:
                self._reserved_bytes -= size_bytes
                self._end()

    def hold(self, model: Evictable, size_bytes: int) -> None:
        """Records the memory of a model.

        Args:
            model: The model.
            size_bytes: Its memory; 0 if it is closed.
        """
        with self._condition:
            self._held[model] = size_bytes
            if not size_bytes:
                del self._held[model]
                self._condition.notify_all()

    def release(self) -> None:
        """Returns free memory to the system. What runtimes have kept from earlier batches may be part of it."""
        release_free_memory()
        with self._condition:
            self.releases += 1

    @contextmanager
    def computing(self, least_bytes: int = 0, most_bytes: int = 0, *, kept_bytes: int = 0) -> Iterator[int | None]:
        """Counts a batch that the block computes, and reserves memory for it.

        If there is less than the batch needs at least, idle models are evicted, and other batches are waited for.

        Args:
            least_bytes: The least memory that it needs beside the weights; 0 to neither wait nor evict.
            most_bytes: The most memory that it takes; 0 for a batch that is not limited.
            kept_bytes: The part of that which its runtime has kept from earlier batches.

        Yields:
            The memory that it may take: of what the container has left, its share, or the least if that is more;
            ``None`` if nothing limits it.
        """
        with self._condition:
            room = self._wait_for_room(least_bytes, kept_bytes) if most_bytes else None
            taken_bytes = most_bytes if room is None else max(0, min(most_bytes, room))
            self._running_bytes += taken_bytes
            self._running_batches += 1
            self._begin()
        try:
            yield room
        finally:
            with self._condition:
                self._running_bytes -= taken_bytes
                self._running_batches -= 1
                self._end()

    def most_for_batch(self, weights_bytes: int) -> int | None:
        """Returns the most memory that a batch can ever have beside the weights; ``None`` if nothing limits it.

        Args:
            weights_bytes: The memory of the batch's model.
        """
        container = self._read_container()
        with self._condition:
            pinned_bytes = self._count_pinned()
        mosts = [] if container is None else [container.limit_bytes]
        if self._limit_bytes is not None:
            mosts.append(self._limit_bytes - max(weights_bytes, pinned_bytes))
        return min(mosts, default=None)

    def _begin(self) -> None:
        self.running += 1
        self.begun += 1

    def _end(self) -> None:
        self.running -= 1
        self._condition.notify_all()

    def _wait_for_room(self, least_bytes: int, kept_bytes: int) -> int | None:
        """Waits until there is the least memory; returns what the batch may take, ``None`` if nothing limits it."""
        while (rooms := self._rooms_for_batch(kept_bytes)) is not None and rooms[0] < least_bytes:
            if self._evict(wanted_too=False) is None:
                if not self._running_batches:
                    break
                self._condition.wait(_WAIT_S)
        return None if rooms is None else max(rooms[1], min(rooms[0], least_bytes))

    def _rooms_for_batch(self, kept_bytes: int) -> tuple[int, int] | None:
        """Returns the memory that there is for a row, and the share of a batch; ``None`` if nothing limits it."""
        rooms, container = list[tuple[int, int]](), self._read_container()
        if container is not None:
            free_bytes = container.limit_bytes - container.used_bytes
            # Batches that run may not have taken yet what they will. What they have taken counts twice until they end.
            share_bytes = (free_bytes - self._running_bytes) // self._sharers
            rooms.append((free_bytes + kept_bytes, share_bytes + kept_bytes))
        if self._limit_bytes is not None:
            held_bytes = sum(self._held.values()) + self._reserved_bytes + self._running_bytes
            rooms.append((self._limit_bytes - held_bytes, self._limit_bytes - held_bytes))
        return (min(of_row for of_row, _ in rooms), min(share for _, share in rooms)) if rooms else None

    def _make_room(self, size_bytes: int) -> None:
        container, freed_bytes = self._read_container(), 0
        paused: Evictable | None = None
        try:
            while True:
                self._refuse_if_hopeless(size_bytes)
                is_over = self._is_over(size_bytes)
                if not is_over and (container is None or _has_room(container, size_bytes - freed_bytes)):
                    return
                evicted_bytes = self._evict(wanted_too=is_over)
                if evicted_bytes is not None:
                    freed_bytes += evicted_bytes
                elif is_over:
                    paused = paused or next((model for model in self._candidates() if model.pause()), None)
                    self._condition.wait(_WAIT_S)
                else:
                    return
        finally:
            if paused is not None:
                paused.resume()

    def _is_over(self, size_bytes: int) -> bool:
        held_bytes = sum(self._held.values()) + self._reserved_bytes
        return self._limit_bytes is not None and held_bytes + size_bytes > self._limit_bytes

    def _refuse_if_hopeless(self, size_bytes: int) -> None:
        if self._limit_bytes is None:
            return
        pinned_bytes = self._count_pinned()
        if pinned_bytes + size_bytes > self._limit_bytes:
            beside = f" beside {pinned_bytes:,} of models that cannot be loaded again" if pinned_bytes else ""
            raise ConfigError(
                f"the model needs about {size_bytes:,} bytes{beside}, but memory_limit_bytes is {self._limit_bytes:,}",
                hint="raise memory_limit_bytes (--memory-limit), or load a smaller model or precision",
            )

    def _count_pinned(self) -> int:
        """Counts the memory of models that cannot be loaded again, and so stay."""
        return sum(held for model, held in self._held.items() if not model.can_return)

    def _evict(self, *, wanted_too: bool) -> int | None:
        """Evicts one model, an idle one if possible, and returns the memory that it held; ``None`` if none can be."""
        for model in self._candidates():
            if (wanted_too or not model.is_wanted) and model.evict():
                return self._held.pop(model)
        return None

    def _candidates(self) -> list[Evictable]:
        """Lists the evictable models: idle ones first, the least recently used before others."""
        models = [model for model in self._held if model.can_return]
        return sorted(models, key=lambda model: (model.is_wanted, model.used_s))


def _has_room(container: MemoryLimit, size_bytes: int) -> bool:
    return size_bytes <= container.limit_bytes - container.used_bytes


def size_of(loaded: TaskModel) -> int:
    """Returns the memory of a model; at least a byte, so that it counts as holding memory.

    Args:
        loaded: The model.
    """
    return max(1, loaded.model.memory_requirements().weights_bytes)
