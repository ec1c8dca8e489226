"""TEI's ``/rerank``."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType, json

from inferox.server.http_response import HttpResponse
from inferox.server.input_texts import check_count
from inferox.server.json_body import JsonBody
from inferox.server.service import Service
from inferox.server.tei.response import Stopwatch
from inferox.server.tei.truncation import TruncationDirection, call_options
from inferox.tasks.ranking import rank_documents


class RerankTextsRequest(Struct):
    """The body of a request."""

    query: str
    texts: list[str]
    model: str | None = None
    truncate: bool | None = None
    truncation_direction: TruncationDirection | None = None
    raw_scores: bool | None = None
    return_text: bool | None = None


class RankedText(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A text, by its index in the request, and its relevance score."""

    index: int
    score: float
    text: str | UnsetType = UNSET


class TeiRankingRoute:
    """Ranks texts.

    Args:
        service: Computes the scores.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._body = JsonBody(RerankTextsRequest)

    async def answer(self, body: bytes) -> HttpResponse:
        """Answers a request.

        Args:
            body: The body of the request.

        Raises:
            RequestError: If the request is invalid.
        """
        watch = Stopwatch()
        asked = self._body.read(body)
        check_count("texts", asked.texts)
        info = self._service.choose(("rerank",), asked.model)
        options = call_options(asked)
        pairs = [(asked.query, text) for text in asked.texts]
        answer = await self._service.score(info.name, pairs, options, raw=bool(asked.raw_scores))
        ranks = [
            RankedText(each.index, each.score, asked.texts[each.index] if asked.return_text else UNSET)
            for each in rank_documents(answer.results)
        ]
        return watch.respond(json.encode(ranks), answer, (text for pair in pairs for text in pair))
