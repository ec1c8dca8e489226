"""Verification of a package in a process without the libraries that define models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import sys
for name in ("torch", "transformers", "sentence_transformers"): sys.modules[name] = None
from inferox.measuring import verify
found = verify(sys.argv[1])
assert found.passed and found.repeated and all(item.inputs > 40 for item in found.repeated.values()), found
"""


def verify_without_libraries(package: Path) -> None:
    """Checks that ``verify`` repeats the proof of a package, with more than 40 inputs."""
    command = [sys.executable, "-c", _PROGRAM, str(package)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - the program above
    assert done.returncode == 0, done.stderr
