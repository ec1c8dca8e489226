"""Caches for what PyTorch's ONNX exporter computes anew for every graph."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Any

_lock = RLock()
_tables: dict[Any, Any] = {}


@contextmanager
def quick_exports() -> Iterator[None]:
    """Speeds up the exports within the block: a small model takes about half as long.

    The exporter makes a table of all of PyTorch's operators for each graph, which takes about a second; here every
    graph begins with a copy of the first. It also looks up every composite operator once for each namespace of
    operators, of which other libraries add many; here it does so again only if there are others. And it makes millions
    of small objects, which Python would scan for garbage again and again. Only one thread at a time may enter.
    """
    with _lock, _one_table(), _one_lookup(), _no_garbage_collection():
        yield


@contextmanager
def _one_table() -> Iterator[None]:
    registry: Any = None
    with suppress(ImportError):  # it is private: if another version of PyTorch lacks it, an export takes longer
        from torch.onnx._internal.exporter._registration import ONNXRegistry as registry  # noqa: N813
    own = vars(registry).get("from_torchlib") if registry is not None else None
    if own is None:
        yield
        return
    make = registry.from_torchlib

    def copy_table(*arguments: Any, **named: Any) -> Any:
        key = (arguments, tuple(sorted(named.items())))
        if key not in _tables:
            _tables[key] = make(*arguments, **named)
        made, copied = _tables[key], registry()
        vars(copied).update(vars(made), functions={name: list(found) for name, found in made.functions.items()})
        return copied

    registry.from_torchlib = staticmethod(copy_table)
    try:
        yield
    finally:
        registry.from_torchlib = own


@contextmanager
def _one_lookup() -> Iterator[None]:
    try:  # private, as above
        from torch._C import _dispatch_get_registrations_for_dispatch_key as find_registered
        from torch._export import utils

        look_up = utils._materialize_cpp_cia_ops  # noqa: SLF001
    except (ImportError, AttributeError):
        yield
        return
    looked_up: list[str] | None = None

    def look_up_new() -> None:
        nonlocal looked_up
        registered = find_registered("CompositeImplicitAutograd")
        if registered != looked_up:
            look_up()
            looked_up = registered

    utils._materialize_cpp_cia_ops = look_up_new  # noqa: SLF001
    try:
        yield
    finally:
        utils._materialize_cpp_cia_ops = look_up  # noqa: SLF001


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
