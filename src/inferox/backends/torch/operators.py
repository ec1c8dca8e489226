"""Plug-ins that register operators with ``torch.library``, for programs that call them."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import torch

from inferox.core import LoadError, first_line

ENTRY_POINT_GROUP = "inferox.torch_operators"
"""The group of entry points that register operators: their namespace, and the module that registers them."""

_CALLS = {
    ".py": re.compile(rb"(?<![\w.])ops\.(\w+)\.(\w+)"),
    ".json": re.compile(rb'"target": ?"torch\.ops\.(\w+)\.(\w+)'),
}
"""The patterns by which TorchScript's code and graphs of ``torch.export`` call an operator, by file suffix."""

_HIGHER_ORDER = "higher_order"
"""The namespace of PyTorch's own operators that take graphs, which it imports itself when it reads a program."""


def load_operators(program: Path) -> None:
    """Imports the plug-ins whose operators a program calls, and no others.

    It is only for trusted programs: a plug-in that such a program calls may do whatever the program may do.

    Args:
        program: A file of TorchScript or ``torch.export``; anything else calls nothing.

    Raises:
        LoadError: If a plug-in fails, or an exported program calls an operator that is not registered.
    """
    calls = set(_find_calls(program)) if zipfile.is_zipfile(program) else set()
    namespaces = {namespace for _, namespace, _ in calls}
    for plug_in in entry_points(group=ENTRY_POINT_GROUP):
        if plug_in.name in namespaces:
            try:
                plug_in.load()
            except Exception as error:
                raise LoadError(
                    f"{program.name} calls operators of {plug_in.name!r}, but {plug_in.value!r}, which registers them, "
                    f"failed: {type(error).__name__}: {first_line(error)}",
                    hint="reinstall or remove the distribution that registers it",
                ) from error
            # An operator written in Python would import it when it is first called, perhaps beside another thread.
            import_module("torch._dynamo")
    # PyTorch names what a TorchScript program lacks. For an exported one, it prints a traceback and refers to that.
    lacking = sorted(
        f"{namespace}::{operator}"
        for suffix, namespace, operator in calls
        if suffix == ".json" and namespace != _HIGHER_ORDER and not hasattr(getattr(torch.ops, namespace), operator)
    )
    if lacking:
        raise LoadError(
            f"{program.name} calls operators that are not registered: {', '.join(lacking)}",
            hint=f"install the distribution that registers them as {ENTRY_POINT_GROUP}",
        )


def _find_calls(program: Path) -> Iterator[tuple[str, str, str]]:
    """Yields the kind of file, the namespace and the name of each operator that a program calls."""
    with zipfile.ZipFile(program) as bundle:
        for member in bundle.namelist():
            suffix = Path(member).suffix
            if suffix in _CALLS:
                for namespace, operator in _CALLS[suffix].findall(bundle.read(member)):
                    yield suffix, namespace.decode(), operator.decode()
