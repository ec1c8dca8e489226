"""Making modules from a config that may ask for anything: nothing is fetched, and the work ends."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules import module as registration

from inferox.core import LoadError, counted

_NETWORK_EVENTS = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"})
_MODEL_FILES = frozenset({".json", ".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".model", ".txt"})
"""The suffixes of files with settings, weights and vocabularies."""

_INSTALLED = tuple(os.path.realpath(folder) + os.sep for folder in {sys.prefix, sys.base_prefix})
"""The folders of Python's own files and of installed libraries."""

_MODULES_PER_WEIGHT = 16
_FEWEST_MODULES = 2_000
_ELEMENTS_PER_ELEMENT = 2
"""An honest model has about as many elements as its checkpoint; twice as many where tied weights are stored once."""
_FEWEST_ELEMENTS = 1 << 22
"""A small model has a few tensors, such as tied ones, more than its checkpoint."""
_FEWEST_TABLE_ELEMENTS = 1 << 27
"""Tables that an architecture computes for itself are not in a checkpoint: GPT-Neo has a mask of positions squared in
each layer, which is ten times the weights of a small model."""

_state = threading.local()


def _refuse_reach(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: refuses network and files of models to a thread that is making a module."""
    if not getattr(_state, "offline", False):
        return
    if event in _NETWORK_EVENTS:
        raise _reach("the network")
    if event == "open" and isinstance(arguments[0], str | bytes):
        path = os.fsdecode(arguments[0])
        # What a path leads to decides: ".." and links may lead out of the folders of the libraries.
        if Path(path).suffix in _MODEL_FILES and not os.path.realpath(path).startswith(_INSTALLED):
            raise _reach(f"the file {path}")


def _reach(target: str) -> LoadError:
    return LoadError(
        f"the config asks for something outside the model: {target} was about to be read while the model was made",
        hint="a model is made only of its own config and weights; look for a repository or folder that the config "
        "names, such as 'backbone', and pack the model from Python (python:module:factory) if it needs that",
    )


# An audit hook cannot be removed. It costs a look at one thread-local for each event, and no call of a library, now or
# in a later version, gets around it as it would get around a list of keys.
sys.addaudithook(_refuse_reach)


@contextmanager
def offline() -> Iterator[None]:
    """Refuses network and files of other models to this thread. Other threads go on as they are.

    Raises:
        LoadError: Where what runs inside reaches for them.
    """
    before = getattr(_state, "offline", False)
    _state.offline = True
    try:
        yield
    finally:
        _state.offline = before


@contextmanager
def bounded(weights: int, elements: int) -> Iterator[None]:
    """Ends the making of modules in this thread as soon as they are more than a checkpoint can fill.

    The modules and parameters are counted as they are registered, so that neither a count in a config nor a product of
    several can ask for endless work.

    Args:
        weights: How many tensors the checkpoint has.
        elements: How many elements they have altogether.

    Raises:
        LoadError: Where there would be more.
    """
    modules = _Counter("modules", _FEWEST_MODULES + _MODULES_PER_WEIGHT * weights, counted(weights, "weight"))
    numbers = _Counter(
        "numbers", _FEWEST_ELEMENTS + _ELEMENTS_PER_ELEMENT * elements, f"weights of {counted(elements, 'number')}"
    )
    tables = _Counter(
        "numbers in tables",
        _FEWEST_TABLE_ELEMENTS + _ELEMENTS_PER_ELEMENT * elements,
        f"weights of {counted(elements, 'number')}",
    )
    parameters = _Counter("parameters", _FEWEST_MODULES + _MODULES_PER_WEIGHT * weights, counted(weights, "weight"))
    owner = threading.get_ident()

    def on_this_thread(count: Callable[[Any], None]) -> Callable[[Any, str, Any], None]:
        def hook(_module: Any, _name: str, value: Any) -> None:
            if value is not None and threading.get_ident() == owner:
                count(value)

        return hook

    def count_parameter(value: Any) -> None:
        # Modules without children register nothing but these while a list of them grows.
        parameters.add(1)
        numbers.add(_size(value))

    handles = [
        registration.register_module_module_registration_hook(on_this_thread(lambda _: modules.add(1))),
        registration.register_module_parameter_registration_hook(on_this_thread(count_parameter)),
        registration.register_module_buffer_registration_hook(on_this_thread(lambda value: tables.add(_size(value)))),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _size(value: Any) -> int:
    return value.numel() if isinstance(value, torch.Tensor) else 0


class _Counter:
    def __init__(self, kind: str, limit: int, stored: str) -> None:
        self._kind, self._limit, self._stored, self._count = kind, limit, stored, 0

    def add(self, number: int) -> None:
        self._count += number
        if self._count > self._limit:
            raise LoadError(
                f"the config describes a model of more than {self._limit:,} {self._kind}, but the checkpoint has "
                f"{self._stored}",
                hint="the config and the weights are not of the same model",
            )
