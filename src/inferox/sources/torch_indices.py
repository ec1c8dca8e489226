"""Bounds of a module's integer inputs, derived from the tables that they index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten

_ARRANGING = frozenset(
    {_aten.alias, _aten.clone, _aten.contiguous, _aten.detach, _aten.expand, _aten.expand_as, _aten.flatten}
    | {_aten.mT, _aten.movedim, _aten.numpy_T, _aten.permute, _aten.repeat, _aten.reshape, _aten.squeeze, _aten.t}
    | {_aten.tile, _aten.transpose, _aten.unflatten, _aten.unsqueeze, _aten.view, _aten.view_as}
    | {_aten._reshape_alias, _aten._unsafe_view}  # noqa: SLF001 - what reshape and flatten become
)
"""Operators that return all elements of their first argument, possibly rearranged."""

_EMBEDDING = frozenset(
    {_aten.embedding, _aten.embedding_bag, _aten._embedding_bag, _aten._embedding_bag_forward_only}  # noqa: SLF001
)
"""Operators that look up rows of their first argument by the indices in the second, and refuse negative ones."""

_CONVERTING = frozenset({_aten.to, _aten.type_as, _aten._to_copy})  # noqa: SLF001 - what the others become

_WHOLE = frozenset({torch.int32, torch.int64})
"""Types to which a conversion preserves every index; narrower ones wrap around."""


@contextmanager
def watched_indices(inputs: Mapping[str, torch.Tensor], bounds: dict[str, int]) -> Iterator[None]:
    """Finds, while a module computes, the inputs that index the rows of tables.

    An embedding refuses indices that its table does not have, including negative ones, which other runtimes count from
    the end. Operators that rearrange an input's elements are followed.

    Args:
        inputs: The inputs of the call, by name.
        bounds: Receives the exclusive upper bound of each such input, the least of all tables'.
    """
    with _Watch(inputs, bounds):
        yield


class _Watch(TorchDispatchMode):
    def __init__(self, inputs: Mapping[str, torch.Tensor], bounds: dict[str, int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch's own has no types
        # The tensors are kept alive, as the id of a freed one could be reused.
        self._inputs = {id(value): (value, name) for name, value in inputs.items() if value.dtype in _WHOLE}
        self._bounds = bounds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        result = func(*args, **given)
        packet = func.overloadpacket
        if packet in _EMBEDDING and id(args[1]) in self._inputs:
            name, rows = self._inputs[id(args[1])][1], len(args[0])
            self._bounds[name] = min(rows, self._bounds.get(name, rows))
        elif args and id(args[0]) in self._inputs and _keeps_elements(packet, result):
            self._inputs[id(result)] = (result, self._inputs[id(args[0])][1])
        return result


def _keeps_elements(packet: Any, result: Any) -> bool:
    return packet in _ARRANGING or (packet in _CONVERTING and result.dtype in _WHOLE)
