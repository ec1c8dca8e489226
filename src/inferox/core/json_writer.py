"""JSON as Inferox writes it."""

from __future__ import annotations

import json
from typing import Any


def to_json_bytes(data: Any) -> bytes:
    """Encodes JSON as the files of a package store it: indented, and ending in a newline."""
    return (json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
