"""Responses of text-embeddings-inference, with its headers."""

from __future__ import annotations

import time
from collections.abc import Iterable

from inferox.engine import Answer
from inferox.server.answer_headers import describe
from inferox.server.http_response import HttpResponse


class Stopwatch:
    """Measures the duration of a request, for the headers of its response."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()

    def respond(self, body: bytes, answer: Answer, texts: Iterable[str]) -> HttpResponse:
        """Returns a response with TEI's headers.

        Args:
            body: The body.
            answer: The answer of the engine.
            texts: The texts of the request, whose characters are counted.
        """
        total_ms = _write_ms(time.monotonic() - self._began_s)
        phases = answer.phases
        tokenization_s = 0.0 if phases is None else phases.rows_ended_s - phases.rows_began_s
        headers = {
            "x-compute-type": answer.artifact.partition("/")[0],
            "x-compute-time": total_ms,
            "x-compute-characters": str(sum(map(len, texts))),
            "x-compute-tokens": str(answer.tokens),
            "x-total-time": total_ms,
            "x-tokenization-time": _write_ms(tokenization_s),
            "x-queue-time": _write_ms(max(0.0, answer.queue_s - tokenization_s)),  # which TEI counts from then on
            "x-inference-time": _write_ms(answer.compute_s),
        }
        return HttpResponse(body, headers=describe(answer) | headers)


def _write_ms(seconds: float) -> str:
    return str(round(1000 * seconds))
