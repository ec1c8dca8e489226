"""The limit on the length of rows, found from a model's lookups while it computes, whatever its tables are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_SHORT, _LONGER, _FAR = 4, 5, 160
"""The lengths of the rows that are compared. The long one distinguishes relative positions, which are bucketed."""

Place = tuple[int, int]
"""One lookup of a run: the storage, and the number of earlier lookups in it."""


def measure_position_limit(module: torch.nn.Module, inputs: Mapping[str, torch.Tensor], token: int) -> int | None:
    """Finds the longest row for which every table that is looked up by position has an entry.

    The model computes rows of several lengths. A table whose highest index looked up grows by one with each token is a
    table of positions; so is one of which a slice as long as the row is taken.

    Args:
        module: The model, in evaluation mode.
        inputs: Example inputs by name, each of shape ``[batch, seq]``, int64.
        token: The token for every place of the rows: not the padding token, which has no position in some models.

    Returns:
        The number of tokens, or ``None`` if no such table was found, as in models with relative or rotary positions.
    """
    short, longer = _look_up(module, inputs, token, _SHORT), _look_up(module, inputs, token, _LONGER)
    limits = [
        entries - (highest - (_SHORT - 1))
        for place, (highest, entries) in short.items()
        if longer.get(place) == (highest + 1, entries)
    ]
    # A table that is taken as a whole is not a lookup.
    far = min([_FAR, *(limit - 1 for limit in limits if limit - 1 > _LONGER)])
    distant = _look_up(module, inputs, token, far) if limits else {}
    positions = [
        entries - (highest - (_SHORT - 1))
        for place, (highest, entries) in short.items()
        if longer.get(place) == (highest + 1, entries) and distant.get(place) == (highest + far - _SHORT, entries)
    ]
    return min(positions, default=None)


def _look_up(
    module: torch.nn.Module, inputs: Mapping[str, torch.Tensor], token: int, length: int
) -> dict[Place, tuple[int, int]]:
    """Returns the highest index and the number of entries of each lookup; empty if the model fails at this length."""
    rows = {name: _row(name, token, length) for name in inputs}
    watch = _Watch(module)
    try:
        with torch.no_grad(), watch:
            module(**rows)
    except Exception:  # noqa: BLE001 - a model that fails here is tried again, and judged, by whoever computes with it
        return {}
    return watch.found


def _row(name: str, token: int, length: int) -> torch.Tensor:
    value = {"input_ids": token, "attention_mask": 1}.get(name, 0)
    return torch.full((1, length), value, dtype=torch.int64)


class _Watch(TorchDispatchMode):
    """Records the highest index of each lookup in a parameter or buffer."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tables = {_storage(value) for value in (*module.parameters(), *module.buffers())}
        self._counts: dict[int, int] = {}
        self.found: dict[Place, tuple[int, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name in _LOOKUP and isinstance(args[0], torch.Tensor) and _storage(args[0]) in self._tables:
            seen = _LOOKUP[name](*args, **(kwargs or {}))
            if seen is not None:
                self._note(_storage(args[0]), seen)
        return func(*args, **(kwargs or {}))

    def _note(self, storage: int, seen: tuple[int, int]) -> None:
        count = self._counts.get(storage, 0)
        self._counts[storage] = count + 1
        self.found[storage, count] = seen


def _storage(value: torch.Tensor) -> int:
    return value.untyped_storage().data_ptr()


def _highest(table: torch.Tensor, dim: int, indices: Any) -> tuple[int, int] | None:
    if not isinstance(indices, torch.Tensor) or indices.is_floating_point() or indices.dtype == torch.bool:
        return None
    return (int(indices.max()), table.shape[dim]) if indices.numel() else None


def _of_embedding(table: torch.Tensor, indices: torch.Tensor, *_: Any, **__: Any) -> tuple[int, int] | None:
    return _highest(table, 0, indices)


def _of_index(table: torch.Tensor, indices: Any, *_: Any) -> tuple[int, int] | None:
    given = [(dim, index) for dim, index in enumerate(indices) if index is not None]
    return _highest(table, *given[0]) if len(given) == 1 else None


def _of_select(table: torch.Tensor, dim: int, indices: torch.Tensor, **_: Any) -> tuple[int, int] | None:
    return _highest(table, dim, indices) if table.ndim else None


def _of_slice(
    table: torch.Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> tuple[int, int] | None:
    entries = table.shape[dim]
    if step != 1 or end is None or not 0 < end <= entries or (start is not None and start < 0):
        return None
    return end - 1, entries


_LOOKUP: dict[str, Callable[..., tuple[int, int] | None]] = {
    "embedding": _of_embedding,
    "index": _of_index,
    "index_select": _of_select,
    "gather": _of_select,
    "slice": _of_slice,
}
