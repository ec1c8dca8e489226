"""Requests generated from the description of the routes, to a real server: see ``openapi_cases``."""

from __future__ import annotations

from pathlib import Path

from tests.server.clients import ask_client
from tests.server.running import RunningServer

PROGRAM = Path(__file__).parents[1] / "openapi_cases.py"

TASKS = ("embed", "classify", "rerank", "token-classify")

CASES = 300

NEVER_ANSWERED = {"POST /embed_sparse", "GET /info"}
"""The second one is for servers with one model."""


def test_every_answer_is_as_described(task_server: RunningServer) -> None:
    asked = {"cases": CASES, "seed": 1, "models": TASKS, "artifact": None}
    found = ask_client(PROGRAM, task_server.url, asked=asked)
    assert not found["failures"], "\n\n".join(f"{place}\n{what}" for place, what in found["failures"].items())
    assert sum(found["statuses"].values()) >= CASES
    # If all of them were refused, little of the description would have been checked.
    refused = {place for place, count in found["answered"].items() if not count}
    assert refused == NEVER_ANSWERED
