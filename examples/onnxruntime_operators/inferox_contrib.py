"""Locates the library that computes the operators of the domain ``ai.onnx.contrib``."""

from __future__ import annotations

from pathlib import Path

from onnxruntime_extensions import get_library_path


def locate_library() -> Path:
    """Returns the path of the library that ONNX Runtime loads."""
    return Path(get_library_path())
