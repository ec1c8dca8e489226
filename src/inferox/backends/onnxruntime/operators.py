"""Operator libraries for ONNX Runtime that installed distributions register."""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from inferox.backends.onnx.content import map_onnx
from inferox.backends.onnx.domains import list_foreign_domains
from inferox.backends.onnx.wire_format import WireFormatError
from inferox.core import LoadError, first_line

ENTRY_POINT_GROUP = "inferox.onnxruntime_operators"
"""The group of entry points that register a library: its operators' domain, and a function that returns its path."""


def find_plug_ins(graph: Path) -> list[EntryPoint]:
    """Finds the plug-ins that register the operators of a graph, without importing any.

    Args:
        graph: An ONNX file.

    Returns:
        One entry point per domain of such operators; none for a file that cannot be read, which is refused when it is
        loaded.
    """
    try:
        domains = list_foreign_domains(map_onnx(graph))  # the rest of it is checked when it is loaded
    except (LoadError, OSError, WireFormatError):
        return []
    if not domains:
        return []
    found = {plug_in.name: plug_in for plug_in in entry_points(group=ENTRY_POINT_GROUP) if plug_in.name in domains}
    return [found[domain] for domain in sorted(found)]


def describe(plug_in: EntryPoint) -> str:
    """Describes the code that loading a graph with a plug-in runs, as a phrase.

    Args:
        plug_in: The plug-in that registers operators.
    """
    return f"the library of operators for {plug_in.name!r} that {plug_in.value} returns"


def locate_library(plug_in: EntryPoint) -> Path:
    """Asks a plug-in for the path of its library, which runs its code.

    Args:
        plug_in: The plug-in that registers operators.

    Raises:
        LoadError: If it fails, or returns something other than the path of a file.
    """
    try:
        path = Path(os.fspath(plug_in.load()()))
    except Exception as error:
        raise LoadError(
            f"operators of {plug_in.name!r} are called, but {plug_in.value!r}, which locates their library, failed: "
            f"{type(error).__name__}: {first_line(error)}",
            hint="reinstall or remove the distribution that registers it",
        ) from error
    if not path.is_file():
        raise LoadError(
            f"operators of {plug_in.name!r} are called, but {path}, the path of their library according to "
            f"{plug_in.value!r}, is not a file",
            hint="reinstall or remove the distribution that registers it",
        )
    return path.absolute()
