"""The bounded construction of modules from an untrusted config: nothing is fetched, and the work terminates."""

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
"""The suffixes of files with settings, weights or vocabularies."""

_INSTALLED = tuple(os.path.realpath(folder) + os.sep for folder in {sys.prefix, sys.base_prefix})
"""The folders of Python's own files and of installed libraries."""

_MODULES_PER_WEIGHT = 16
_FEWEST_MODULES = 2_000
_ELEMENTS_PER_ELEMENT = 2
"""The elements allowed per element of the checkpoint: real models have 1, or 2 if tied weights are stored once."""
_FEWEST_ELEMENTS = 1 << 22
"""Elements allowed in addition, as a small model may have a few tensors, such as tied ones, besides its checkpoint."""
_FEWEST_TABLE_ELEMENTS = 1 << 27
"""The elements allowed in addition in tables, which an architecture computes itself and a checkpoint does not have:
GPT-Neo has a mask of squared positions in each layer, which is ten times the weights of a small model."""

_state = threading.local()


def _refuse_reach(event: str, arguments: tuple[Any, ...]) -> None:
    """Denies network access and model files to a thread that is making a module; an audit hook."""
    if not getattr(_state, "offline", False):
        return
    if event in _NETWORK_EVENTS:
        raise _reach("the network")
    if event == "open" and isinstance(arguments[0], str | bytes):
        path = os.fsdecode(arguments[0])
        # The resolved path decides: ".." and links may lead out of the libraries' folders.
        if Path(path).suffix in _MODEL_FILES and not os.path.realpath(path).startswith(_INSTALLED):
            raise _reach(f"the file {path}")


def _reach(target: str) -> LoadError:
    return LoadError(
        f"the config asks for something outside the model: {target} was about to be read while the model was made",
        hint="a model is made only of its own config and weights; look for a repository or folder that the config "
        "names, such as 'backbone', and pack the model from Python (python:module:factory) if it needs that",
    )


# An audit hook cannot be removed. It costs one thread-local lookup per event, and no library call, now or in a later
# version, bypasses it as it would bypass a list of keys.
sys.addaudithook(_refuse_reach)


@contextmanager
def offline() -> Iterator[None]:
    """Denies network access and files of other models to this thread. Other threads are not affected.

    Raises:
        LoadError: If the block tries to access them.
    """
    before = getattr(_state, "offline", False)
    _state.offline = True
    try:
        yield
    finally:
        _state.offline = before


@contextmanager
def bounded(weights: int, elements: int) -> Iterator[None]:
    """Stops the construction of modules in this thread as soon as they exceed what a checkpoint can fill.

    Modules and parameters are counted as they are registered, so that neither a count in a config nor a product of
    several can cause endless work.

    Args:
        weights: The number of tensors in the checkpoint.
        elements: The total number of their elements.

    Raises:
        LoadError: If the limits are exceeded.
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
        # While a list of modules without children grows, only these are registered.
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
