"""The files of a model that describe its use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inferox.core import ManifestError, read_json_object

_GRAPH_FOLDERS = frozenset({"onnx", "openvino"})
"""The subfolders in which sentence-transformers and optimum keep a model's graphs."""


def find_directory(graph: Path) -> Path | None:
    """Finds the folder of a graph's model.

    Args:
        graph: The file of the graph.

    Returns:
        The graph's folder, or the one above a folder for graphs, whichever has a ``config.json`` and a
        ``tokenizer.json``; ``None`` if neither does.
    """
    folder = graph.absolute().parent
    folders = (folder, folder.parent) if folder.name in _GRAPH_FOLDERS else (folder,)
    names = ("config.json", "tokenizer.json")
    return next((each for each in folders if all((each / name).is_file() for name in names)), None)


def read_config(directory: Path | None) -> dict[str, Any]:
    """Reads the config of a model.

    Args:
        directory: The folder of the model; ``None`` for a graph without one.

    Returns:
        The config; empty if there is none.

    Raises:
        ManifestError: If it is not a JSON object.
    """
    if directory is None:
        return {}
    try:
        return read_json_object(directory / "config.json", hint="fetch the model again", allow_non_finite=True)
    except FileNotFoundError as error:
        raise ManifestError("config.json is missing", hint="fetch the model again") from error


def stated_architecture(config: Mapping[str, Any]) -> str:
    """Returns the first architecture that a config names, such as ``BertModel``; empty if it names none.

    Args:
        config: The content of ``config.json``.
    """
    names = config.get("architectures")
    return names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""
