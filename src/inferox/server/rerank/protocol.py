"""The routes that rank and score."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse
from inferox.server.json_body import JsonBody
from inferox.server.protocol import Protocol, posting, posting_json
from inferox.server.rerank.error_body import RANKING_ERRORS
from inferox.server.rerank.ranking import RankingAnswer, RankingRoute, RerankRequest
from inferox.server.rerank.scoring import ScoreAnswer, ScoreRequest, ScoreRoute
from inferox.server.service import Service
from inferox.server.tei.error_body import TEI_ERRORS
from inferox.server.tei.ranking import RankedText, RerankTextsRequest, TeiRankingRoute

_WITH_DOCUMENTS = ("/v1/rerank", "/openai/v1/rerank", "/v3/rerank")
"""Routes that return the documents unless the request says otherwise, as at Jina and vLLM."""

_WITHOUT_DOCUMENTS = ("/v2/rerank",)
"""Routes that do not return the documents by default: Cohere's v2 never does."""

_TASKS = ("rerank",)


def make_rerank(service: Service) -> Protocol:
    """Makes the routes that rank and score.

    Args:
        service: Answers the requests.
    """
    with_documents = RankingRoute(service, returns_documents=True)
    without = RankingRoute(service, returns_documents=False)
    shared = _SharedRoute(service, with_documents, TeiRankingRoute(service))
    about = "Ranks documents by relevance to a query."
    scoring = posting_json(
        ScoreRoute(service).answer,
        "Scores pairs of texts.",
        ScoreRequest,
        gives=ScoreAnswer,
        computes=("rerank", "embed"),
    )
    routes = {
        path: posting_json(route.answer, about, RerankRequest, gives=RankingAnswer, computes=_TASKS)
        for paths, route in ((_WITH_DOCUMENTS, with_documents), (_WITHOUT_DOCUMENTS, without))
        for path in paths
    }
    routes |= dict.fromkeys(("/score", "/v1/score"), scoring)
    routes["/rerank"] = posting(
        shared.answer,
        about,
        *(RerankRequest, RerankTextsRequest),
        gives=RankingAnswer | list[RankedText],
        other_errors=(TEI_ERRORS,),
        computes=_TASKS,
    )
    return Protocol(RANKING_ERRORS, routes, name="Rerank and score")


class _Body(Struct):
    texts: Any = None


class _SharedRoute:
    """``/rerank``, which two protocols share: TEI sends ``texts``, vLLM and infinity send ``documents``.

    Args:
        service: The service that holds the models.
        documents: Answers requests with ``documents``.
        texts: Answers requests with ``texts``.
    """

    def __init__(self, service: Service, documents: RankingRoute, texts: TeiRankingRoute) -> None:
        self._service, self._documents, self._texts = service, documents, texts
        self._body = JsonBody(_Body)

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answers a request."""

        async def answer(body: bytes) -> HttpResponse:
            has_texts = self._body.read(body).texts is not None
            if has_texts:
                request.write_error = TEI_ERRORS.write
            self._service.refuse_if_full(_TASKS)  # the headers did not say how to write the refusal
            return await (self._texts if has_texts else self._documents).answer(body)

        return await request.answer_json(answer)
