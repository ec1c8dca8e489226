"""Libraries built on OpenAI's clients, against a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferox import TaskModel
from tests.server.clients import ask_client
from tests.server.running import RunningServer

PROGRAM = Path(__file__).with_name("openai_users.py")

TEXTS = ["A cat sits on the mat.", "", "Ünïcödé 🎉"]


def ask(kind: str, server: RunningServer, *asked: dict[str, Any]) -> list[Any]:
    found: list[Any] = ask_client(PROGRAM, kind, server.url, asked=asked)
    return found


def test_langchain(server: RunningServer, loaded: TaskModel) -> None:
    plain = {"check_embedding_ctx_length": False}
    *found, of_tokens = ask(
        "langchain",
        server,
        *({"texts": TEXTS, "way": way, **plain} for way in ("documents", "async", "query")),
        {"texts": TEXTS, "way": "documents"},
    )
    for each in found:
        np.testing.assert_allclose(each["vectors"], loaded.embed(TEXTS), atol=1e-6)
    # By default it sends the tokens of OpenAI's own models; the error says what to do.
    assert of_tokens["error"].startswith("BadRequestError: ")
    assert "set check_embedding_ctx_length=False" in of_tokens["error"]


@pytest.mark.slow
def test_litellm(server: RunningServer, loaded: TaskModel) -> None:
    *found, too_long = ask(
        "litellm",
        server,
        {"texts": TEXTS, "way": "sync"},
        {"texts": TEXTS, "way": "async"},
        {"texts": TEXTS, "way": "sync", "encoding_format": "float"},
        {"texts": ["word " * 2000], "way": "sync"},
    )
    for each in found:
        np.testing.assert_allclose(each["vectors"], loaded.embed(TEXTS), atol=1e-6)
    assert "has 2002 tokens" in too_long["error"]
