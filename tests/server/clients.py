"""The environment for clients that cannot be imported where Inferox is tested."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(sys.prefix) / "clients" / ("Scripts" if os.name == "nt" else "bin")


def find_python() -> str:
    """Finds the interpreter of the environment; a test is skipped if that was never made."""
    found = _FOLDER / "python"
    if not found.exists():
        pytest.skip(f"there is no {found}: 'make setup' makes it")
    return str(found)


def ask_client(program: Path, *arguments: str, asked: Any, timeout_s: float = 120.0) -> Any:
    """Runs a program there.

    Args:
        program: The program.
        arguments: Its arguments.
        asked: Its input, as JSON.
        timeout_s: The most seconds that it may take.

    Returns:
        Its output, as JSON.
    """
    # litellm would otherwise fetch a list of prices when it is imported.
    environment = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false"}
    done = subprocess.run(  # noqa: S603 - a program of these tests
        [find_python(), str(program), *arguments],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        env=environment,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
