"""The commands and code on the pages about serving, against a real server."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from tests.docs.pages import DOCS, ROOT, read_blocks, run_python
from tests.server.clients import find_python
from tests.server.running import RunningServer

PLACE = "127.0.0.1:8000"
"""The address of the server on the pages."""

BLOCKS = read_blocks(DOCS / "serving.md")

CODE = [block for block in BLOCKS if block.language == "python"]


def at_server(text: str, server: RunningServer) -> str:
    """Replaces the address of the server in a page's text."""
    return text.replace(PLACE, server.url.removeprefix("http://"))


def test_each_block_of_python_runs(server: RunningServer) -> None:
    assert len(CODE) > 1
    names: dict[str, Any] = {}
    for block in CODE:
        text = at_server(block.text, server)
        if "tritonclient" in text:  # which is in an environment of its own
            done = subprocess.run([find_python(), "-c", text], capture_output=True, text=True, check=False)  # noqa: S603
            assert done.returncode == 0, done.stderr
        else:
            run_python(replace(block, text=text), names)


@pytest.mark.parametrize("page", ["docs/serving.md", "README.md"])
def test_each_request_of_curl_is_answered(page: str, server: RunningServer) -> None:
    blocks = [block.text for block in read_blocks(ROOT / page) if "curl " in block.text]
    assert blocks
    for text in blocks:
        words = shlex.split(at_server(text, server).removeprefix("$ "))
        assert words[0] == "curl"
        headers = [words[place + 1].split(": ") for place, word in enumerate(words) if word == "-H"]
        body = words[words.index("-d") + 1].replace("all-MiniLM-L6-v2", "minilm")  # as this server calls it
        answer = httpx2.post(words[1], headers=dict(headers), content=body)
        assert answer.status_code == 200, answer.text
