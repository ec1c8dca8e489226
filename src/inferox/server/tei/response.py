"""Answers of text-embeddings-inference, with the headers that it has."""

from __future__ import annotations

import time
from collections.abc import Iterable

from inferox.engine import Answer
from inferox.server.answer_headers import describe
from inferox.server.http_response import HttpResponse


class Stopwatch:
    """Says how long an answer took, and what was computed for it."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()

    def respond(self, body: bytes, answer: Answer, texts: Iterable[str]) -> HttpResponse:
        """An answer with its headers.

        Args:
            body: What it holds.
            answer: What computed it.
            texts: What was sent.
        """
        total_ms = str(round(1000 * (time.monotonic() - self._began_s)))
        headers = {
            "x-compute-type": answer.artifact.partition("/")[0],
            "x-compute-time": total_ms,
            "x-compute-characters": str(sum(map(len, texts))),
            "x-compute-tokens": str(answer.tokens),
            "x-total-time": total_ms,
            "x-queue-time": str(round(1000 * answer.queue_s)),
            "x-inference-time": str(round(1000 * answer.compute_s)),
        }
        return HttpResponse(body, headers=describe(answer) | headers)
