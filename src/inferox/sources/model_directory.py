"""The files beside a graph that describe its use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from inferox.core import ManifestError


def read_directory(folder: Path) -> tuple[Path | None, dict[str, Any]]:
    """Reads the config that lies beside a graph, as exported model directories have it.

    Args:
        folder: The folder of the graph.

    Returns:
        The folder, where it has a ``config.json`` and a ``tokenizer.json``, otherwise ``None``; and the config.

    Raises:
        ManifestError: If the config is no JSON object.
    """
    path = folder / "config.json"
    if not path.is_file() or not (folder / "tokenizer.json").is_file():
        return None, {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ManifestError(f"config.json is no JSON file: {error}", hint="fetch the model again") from error
    if not isinstance(config, dict):
        raise ManifestError(f"config.json must be a JSON object, and is a {type(config).__name__}")
    return folder, config
