"""``/v1/rerank``, ``/v2/rerank`` and the like: documents ranked by relevance to a query."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

from msgspec import UNSET, Struct, UnsetType, json

from inferox.server.answer_headers import describe
from inferox.server.call_options import CallOptions
from inferox.server.defaults import COHERE
from inferox.server.field_error import FieldError
from inferox.server.http_response import HttpResponse
from inferox.server.input_texts import check_count
from inferox.server.json_body import JsonBody
from inferox.server.limits import TO_MODEL_LIMIT, refuse_shorter
from inferox.server.openai.embeddings import Usage
from inferox.server.service import Service
from inferox.tasks.ranking import rank_documents


class Document(Struct):
    """A document in Jina's form."""

    text: str


class RerankRequest(Struct):
    """The body of a request."""

    query: str
    documents: list[str | Document]
    model: str | None = None
    top_n: int | None = None
    return_documents: bool | None = None
    raw_scores: bool | None = None
    use_activation: bool | None = None
    priority: int | None = None
    max_tokens_per_doc: int | None = None
    max_tokens_per_query: int | None = None
    truncate_prompt_tokens: int | None = None
    max_chunks_per_doc: Any = None
    rank_fields: Any = None
    instruction: Any = None


class RankedDocument(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A document, by its index in the request, and its relevance score."""

    index: int
    relevance_score: float
    document: Document | UnsetType = UNSET


class BilledUnits(Struct, forbid_unknown_fields=True):
    """The units that Cohere would bill."""

    search_units: int


class TokenCounts(Struct, forbid_unknown_fields=True):
    """The number of tokens computed."""

    input_tokens: int


class RankingMeta(Struct, forbid_unknown_fields=True):
    """Metadata of a response."""

    billed_units: BilledUnits
    tokens: TokenCounts


class RankingAnswer(Struct, forbid_unknown_fields=True):
    """The body of a response."""

    id: str
    model: str
    results: list[RankedDocument]
    usage: Usage
    meta: RankingMeta


_REFUSED = ("max_chunks_per_doc", "rank_fields", "instruction")
"""Fields that would change the scores, and are not supported."""


class RankingRoute:
    """Ranks documents.

    Args:
        service: Computes the scores.
        returns_documents: Whether responses include the documents, if the request does not say.
    """

    def __init__(self, service: Service, *, returns_documents: bool) -> None:
        self._service = service
        self._returns_documents = returns_documents
        self._body = JsonBody(RerankRequest)

    async def answer(self, body: bytes) -> HttpResponse:
        """Answers a request.

        Args:
            body: The body of the request.

        Raises:
            RequestError: If the request is invalid.
        """
        asked = self._body.read(body)
        info = self._service.choose(("rerank",), asked.model)
        _check(asked)
        for field in ("max_tokens_per_doc", "max_tokens_per_query"):
            refuse_shorter(info, field, getattr(asked, field))
        if asked.truncate_prompt_tokens != TO_MODEL_LIMIT:
            refuse_shorter(info, "truncate_prompt_tokens", asked.truncate_prompt_tokens)
        texts = [document if isinstance(document, str) else document.text for document in asked.documents]
        options = CallOptions(cut=COHERE.cut, priority=asked.priority or 0)
        pairs = [(asked.query, text) for text in texts]
        answer = await self._service.score(
            info.name, pairs, options, raw=bool(asked.raw_scores) or asked.use_activation is False
        )
        with_documents = self._returns_documents if asked.return_documents is None else asked.return_documents
        results = [
            RankedDocument(each.index, each.score, Document(texts[each.index]) if with_documents else UNSET)
            for each in rank_documents(answer.results, top_k=asked.top_n)
        ]
        meta = RankingMeta(BilledUnits(1), TokenCounts(answer.tokens))
        content = RankingAnswer(token_hex(16), answer.model, results, Usage(answer.tokens, answer.tokens), meta)
        return HttpResponse(json.encode(content), headers=describe(answer))


def _check(asked: RerankRequest) -> None:
    check_count("documents", asked.documents)
    if asked.top_n is not None and asked.top_n < 1:
        raise FieldError(
            "top_n", f"top_n must be a positive integer, but is {asked.top_n}", hint="leave it out for all documents"
        )
    for field in _REFUSED:
        if getattr(asked, field) is not None:
            raise FieldError(field, f"{field} would change the scores, and is not supported", hint="leave it out")
