"""The waiting requests, as columns of numbers: thousands are ordered in a fraction of a millisecond."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_FIRST_CAPACITY = 64


@dataclass(eq=False, slots=True)
class Owner:
    """The service that an owner's requests have received.

    Attributes:
        tokens: How much has been computed for them, by the scheduler's clock of tokens.
        since_s: The time when some of their rows were last computed, or when the first request arrived.
    """

    tokens: float = 0.0
    since_s: float = 0.0


@dataclass(eq=False, slots=True)
class Waiting:
    """A request with rows waiting to be computed.

    Attributes:
        lengths: The tokens of each waiting row, in ascending order.
        group: A key that rows must have in common to share a batch, such as the extents of images.
        priority: Lower numbers go first; each second without progress counts as one.
        owner: The service that its owner has received.
        own_tokens: How much has been computed for the request, by the same clock.
        arrived_s: The time when it arrived.
        since_s: The time when some of it was last computed, or when it arrived.
        deadline_s: The time by which its answer is needed; infinity if it has no deadline.
        place: Its place in the table that it is in.
    """

    lengths: list[int]
    group: Hashable = None
    priority: int = 0
    owner: Owner = field(default_factory=Owner)
    own_tokens: float = 0.0
    arrived_s: float = 0.0
    since_s: float = 0.0
    deadline_s: float = math.inf
    place: int = field(default=-1, init=False)


Entry = TypeVar("Entry", bound=Waiting)
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class WaitingColumns:
    """The columns of all waiting requests, with one entry per request, in any order.

    Attributes:
        priority: The priority of each request.
        since_s: The time when some of it was last computed, or when it arrived.
        own_tokens: How much has been computed for it.
        deadline_s: The time by which its answer is needed.
        arrived_s: The time when it arrived.
        sequence: A number that rises in the order in which requests were added.
        owner_tokens: How much has been computed for its owner.
        owner_since_s: The time when something of that owner's was last computed.
        group: A number that is equal for requests whose rows may share a batch.
        rows: The number of its waiting rows.
        longest: The number of tokens of the longest of them.
    """

    priority: Numbers
    since_s: Numbers
    own_tokens: Numbers
    deadline_s: Numbers
    arrived_s: Numbers
    sequence: Numbers
    owner_tokens: Numbers
    owner_since_s: Numbers
    group: Integers
    rows: Integers
    longest: Integers


class WaitingTable(Generic[Entry]):
    """A table of waiting requests. Adding, changing and removing one takes constant time.

    Args:
        entries: The requests to begin with.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: list[Entry] = []
        self._numbers = np.empty((6, _FIRST_CAPACITY))
        self._keys = np.empty((4, _FIRST_CAPACITY), dtype=np.int64)
        self._owner_numbers = np.empty((2, _FIRST_CAPACITY))
        self._owners, self._groups = _Ids[Owner](), _Ids[Hashable]()
        self._sequence = 0
        for entry in entries:
            self.add(entry)

    def __len__(self) -> int:
        """The number of waiting requests."""
        return len(self._entries)

    def __getitem__(self, place: int) -> Entry:
        """The request at a place."""
        return self._entries[place]

    def add(self, entry: Entry) -> None:
        """Adds a request.

        Args:
            entry: The request, with at least one row.
        """
        entry.place = len(self._entries)
        self._entries.append(entry)
        self._numbers = _with_room(self._numbers, entry.place)
        self._keys = _with_room(self._keys, entry.place)
        self._sequence += 1
        self._numbers[:, entry.place] = (
            entry.priority,
            entry.since_s,
            entry.own_tokens,
            entry.deadline_s,
            entry.arrived_s,
            self._sequence,
        )
        owner, group = self._owners.acquire(entry.owner), self._groups.acquire(entry.group)
        self._keys[:, entry.place] = owner, group, len(entry.lengths), entry.lengths[-1]
        self._owner_numbers = _with_room(self._owner_numbers, owner)
        self._owner_numbers[:, owner] = entry.owner.tokens, entry.owner.since_s

    def remove(self, entry: Entry) -> None:
        """Removes a request.

        Args:
            entry: The request, which is in the table.
        """
        last, place = self._entries.pop(), entry.place
        if last is not entry:
            self._entries[place] = last
            self._numbers[:, place] = self._numbers[:, last.place]
            self._keys[:, place] = self._keys[:, last.place]
            last.place = place
        entry.place = -1
        self._owners.release(entry.owner)
        self._groups.release(entry.group)

    def note_served(self, entry: Entry) -> None:
        """Updates the columns of a request after some of it was computed.

        Args:
            entry: The request, whose ``own_tokens``, ``since_s`` and ``lengths`` have changed.
        """
        self._numbers[1:3, entry.place] = entry.since_s, entry.own_tokens
        self._keys[2:, entry.place] = len(entry.lengths), entry.lengths[-1]

    def note_owner_served(self, owner: Owner) -> None:
        """Updates the columns of an owner's requests after some of them were computed.

        Args:
            owner: The owner; nothing happens if none of its requests waits.
        """
        key = self._owners.find(owner)
        if key is not None:
            self._owner_numbers[:, key] = owner.tokens, owner.since_s

    def expired(self, now_s: float) -> list[Entry]:
        """Returns the requests whose deadline has passed.

        Args:
            now_s: The time.
        """
        passed = self._numbers[3, : len(self)] <= now_s
        return [self._entries[place] for place in passed.nonzero()[0].tolist()] if passed.any() else []

    def columns(self) -> WaitingColumns:
        """Returns the columns of all requests, indexed by their places; valid until the table changes."""
        count = len(self)
        owners, *others = self._keys[:, :count]
        return WaitingColumns(*self._numbers[:, :count], *self._owner_numbers[:, owners], *others)


class _Ids(Generic[Key]):
    """Small numbers for keys, reused once nothing uses a key any more."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[int, int]] = {}
        self._free: list[int] = []

    def find(self, key: Key) -> int | None:
        known = self._known.get(key)
        return None if known is None else known[0]

    def acquire(self, key: Key) -> int:
        known = self._known.get(key)
        if known is None:
            known = (self._free.pop() if self._free else len(self._known), 0)
        self._known[key] = known[0], known[1] + 1
        return known[0]

    def release(self, key: Key) -> None:
        number, uses = self._known[key]
        if uses > 1:
            self._known[key] = number, uses - 1
        else:
            del self._known[key]
            self._free.append(number)


def _with_room(array: npt.NDArray[Any], place: int) -> npt.NDArray[Any]:
    """Returns the array, with its columns doubled if it has none at a place."""
    return array if place < array.shape[1] else np.concatenate([array, np.empty_like(array)], axis=1)
