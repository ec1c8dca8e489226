"""The memory that the models of an engine share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

from inferox.core import ConfigError
from inferox.machine import MemoryLimit, memory_limit

_WAIT_S = 0.05
"""After how many seconds a model that waits for memory looks again whether another can be unloaded."""


class Evictable(ABC):
    """A model that holds memory, and may give it back for a while.

    Attributes:
        used_s: When it was used last, on the clock of ``time.monotonic``.
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
        """Frees its memory, unless it is used just now.

        Returns:
            Whether it did.
        """

    @abstractmethod
    def pause(self) -> bool:
        """Begins no further batch until ``resume``, so that the model can be evicted soon.

        Returns:
            Whether it does so.
        """

    @abstractmethod
    def resume(self) -> None:
        """Ends a pause."""


class MemoryBudget:
    """The memory that the models of an engine share. Several threads may use it.

    Where there is no room for a model, those are evicted that have been idle for longest. If all are busy, one pauses
    after its batch, unless it has only just been loaded, and is evicted then. In a container whose memory is short,
    idle models are evicted as well, though never waited for: what they free is only an estimate.

    Args:
        limit_bytes: How much all of them may hold, and their batches take; ``None`` for no limit.
        read_container: Reads the limit of the container; ``None`` if there is none.

    Attributes:
        running_batches: How many batches are being computed.
        begun_batches: How many were begun so far.
    """

    def __init__(
        self, limit_bytes: int | None, *, read_container: Callable[[], MemoryLimit | None] = memory_limit
    ) -> None:
        self._limit_bytes = limit_bytes
        self._read_container = read_container
        self._condition = Condition()
        self._held: dict[Evictable, int] = {}
        self._reserved_bytes = self._running_bytes = 0
        self.running_batches = self.begun_batches = 0

    @contextmanager
    def reserve(self, size_bytes: int) -> Iterator[None]:
        """Makes room for a model that is being loaded, and keeps it for the block, at the end of which ``hold`` counts.

        Args:
            size_bytes: About how much it will hold.

        Raises:
            ConfigError: If there would be no room even if every model that can be were evicted.
        """
        with self._condition:
            self._make_room(size_bytes)
            self._reserved_bytes += size_bytes
        try:
            yield
        finally:
            with self._condition:
                self._reserved_bytes -= size_bytes
                self._condition.notify_all()

    def hold(self, model: Evictable, size_bytes: int) -> None:
        """Notes how much a model holds.

        Args:
            model: The model.
            size_bytes: How much it holds; 0 for one that is closed.
        """
        with self._condition:
            self._held[model] = size_bytes
            if not size_bytes:
                del self._held[model]
                self._condition.notify_all()

    @contextmanager
    def computing(self, least_bytes: int = 0, most_bytes: int = 0, *, kept_bytes: int = 0) -> Iterator[int | None]:
        """Counts a batch that is computed in the block, and takes memory for it.

        Where there is too little for what it takes at least, idle models are evicted, and other batches waited for.

        Args:
            least_bytes: What it takes at least beside the weights; nothing waits or is evicted for 0.
            most_bytes: What it takes at most; 0 for a batch that is not to be limited.
            kept_bytes: How much of that its runtime has kept of batches before.

        Yields:
            How much it may take; ``None`` if nothing limits it.
        """
        with self._condition:
            room = self._wait_for_room(least_bytes, kept_bytes) if most_bytes else None
            taken_bytes = most_bytes if room is None else max(0, min(most_bytes, room))
            self._running_bytes += taken_bytes
            self.running_batches += 1
            self.begun_batches += 1
        try:
            yield room
        finally:
            with self._condition:
                self._running_bytes -= taken_bytes
                self.running_batches -= 1
                self._condition.notify_all()

    def _wait_for_room(self, least_bytes: int, kept_bytes: int) -> int | None:
        while (room := self._room_for_batch(kept_bytes)) is not None and room < least_bytes:
            if self._evict(wanted_too=False) is None:
                if not self.running_batches:
                    break
                self._condition.wait(_WAIT_S)
        return room

    def _room_for_batch(self, kept_bytes: int) -> int | None:
        """The memory that a batch may take; ``None`` if nothing limits it."""
        rooms, container = [], self._read_container()
        if container is not None:
            rooms.append(container.limit_bytes - container.used_bytes + kept_bytes)
        if self._limit_bytes is not None:
            held_bytes = sum(self._held.values()) + self._reserved_bytes + self._running_bytes
            rooms.append(self._limit_bytes - held_bytes)
        return min(rooms, default=None)

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
        pinned_bytes = sum(held for model, held in self._held.items() if not model.can_return)
        if pinned_bytes + size_bytes > self._limit_bytes:
            beside = f" beside {pinned_bytes:,} of models that cannot be loaded again" if pinned_bytes else ""
            raise ConfigError(
                f"the model needs about {size_bytes:,} bytes{beside}, but memory_limit_bytes is {self._limit_bytes:,}",
                hint="raise memory_limit_bytes, or load a smaller model or precision",
            )

    def _evict(self, *, wanted_too: bool) -> int | None:
        """Evicts one model, an idle one if possible, and says how much it held; ``None`` if none can be."""
        for model in self._candidates():
            if (wanted_too or not model.is_wanted) and model.evict():
                return self._held.pop(model)
        return None

    def _candidates(self) -> list[Evictable]:
        """The models that can be evicted: idle ones first, and the one first that was idle for longest."""
        models = [model for model in self._held if model.can_return]
        return sorted(models, key=lambda model: (model.is_wanted, model.used_s))


def _has_room(container: MemoryLimit, size_bytes: int) -> bool:
    return size_bytes <= container.limit_bytes - container.used_bytes
