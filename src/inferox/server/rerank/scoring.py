"""vLLM's ``/score``: scores for pairs of texts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from secrets import token_hex
from typing import Any, Literal

import numpy as np
from msgspec import Struct, json

from inferox.engine import Answer
from inferox.server.answer_headers import describe
from inferox.server.call_options import CallOptions
from inferox.server.defaults import SCORE
from inferox.server.field_error import FieldError
from inferox.server.http_response import HttpResponse
from inferox.server.input_texts import check_count
from inferox.server.json_body import JsonBody
from inferox.server.limits import check_truncation
from inferox.server.openai.embeddings import Usage
from inferox.server.service import Service
from inferox.server.vectors import scale


class ScoreRequest(Struct):
    """The body of a request. Its fields depend on the client that sends it."""

    model: str | None = None
    text_1: str | list[str] | None = None
    text_2: str | list[str] | None = None
    queries: str | list[str] | None = None
    documents: str | list[str] | None = None
    items: str | list[str] | None = None
    truncate_prompt_tokens: int | None = None
    priority: int | None = None
    use_activation: bool | None = None
    instruction: Any = None


class PairScore(Struct, forbid_unknown_fields=True):
    """The score of a pair."""

    index: int
    object: Literal["score"]
    score: float


class ScoreAnswer(Struct, forbid_unknown_fields=True):
    """The body of a response."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[PairScore]
    usage: Usage


class ScoreRoute:
    """Scores pairs of texts: with a model that reads both together, or by the cosine of their vectors.

    Args:
        service: Computes the scores.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._body = JsonBody(ScoreRequest)

    async def answer(self, body: bytes) -> HttpResponse:
        """Answers a request.

        Args:
            body: The body of the request.

        Raises:
            RequestError: If the request is invalid.
        """
        asked = self._body.read(body)
        is_cut = check_truncation(asked.truncate_prompt_tokens)
        if asked.instruction is not None:
            raise FieldError(
                "instruction", "instruction would change the scores, and is not supported", hint="leave it out"
            )
        pairs = _read_pairs(asked)
        options = CallOptions(cut=SCORE.cut or is_cut, priority=asked.priority or 0)
        answer = await self._score(asked.model, pairs, options, raw=asked.use_activation is False)
        content = ScoreAnswer(
            f"score-{token_hex(16)}",
            "list",
            int(time.time()),
            answer.model,
            [PairScore(index, "score", score) for index, score in enumerate(answer.results)],
            Usage(answer.tokens, answer.tokens),
        )
        return HttpResponse(json.encode(content), headers=describe(answer))

    async def _score(
        self, name: str | None, pairs: Sequence[tuple[str, str]], options: CallOptions, *, raw: bool
    ) -> Answer:
        if name is None or self._service.find(name).task != "embed":
            return await self._service.score(self._service.choose(("rerank",), name).name, pairs, options, raw=raw)
        # Each text is computed once, however many pairs it is in.
        places: dict[str, int] = {}
        for pair in pairs:
            for text in pair:
                places.setdefault(text, len(places))
        answer = await self._service.embed(name, list(places), options)
        vectors = scale(answer.results)
        first, second = (vectors[[places[pair[side]] for pair in pairs]] for side in (0, 1))
        return replace(answer, results=np.einsum("ij,ij->i", first, second).tolist())


def _read_pairs(asked: ScoreRequest) -> list[tuple[str, str]]:
    forms = [
        (f"{one} and {two}", getattr(asked, one), getattr(asked, two))
        for one, two in (("text_1", "text_2"), ("queries", "documents"), ("queries", "items"))
    ]
    given = [form for form in forms if form[1] is not None and form[2] is not None]
    if len(given) != 1:
        raise FieldError(None, "a request must have either text_1 and text_2, or queries and documents (or items)")
    name, first, second = given[0]
    lefts, rights = ([side] if isinstance(side, str) else side for side in (first, second))
    check_count(name, lefts)
    check_count(name, rights)
    if isinstance(first, str) or len(lefts) == 1:
        lefts = lefts * len(rights)
    if len(lefts) != len(rights):
        raise FieldError(
            None,
            f"{name} must have the same length, unless the first is one text, but have {len(lefts)} and {len(rights)}",
        )
    return list(zip(lefts, rights, strict=True))
