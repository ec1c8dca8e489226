"""TEI's ``/embed``, ``/embed_all`` and ``/similarity``."""

from __future__ import annotations

from msgspec import Struct, field, json

from inferox.engine import ModelInfo
from inferox.server.call_options import CallOptions
from inferox.server.field_error import FieldError
from inferox.server.http_response import HttpResponse
from inferox.server.input_texts import Given, check_count, read_texts
from inferox.server.json_body import JsonBody
from inferox.server.prompts import check_prompt
from inferox.server.service import Service
from inferox.server.tei.response import Stopwatch
from inferox.server.tei.truncation import TruncationDirection, call_options
from inferox.server.vector_json import write_numbers
from inferox.server.vectors import scale, scale_answer


class EmbedAllRequest(Struct):
    """The body of a request for token vectors."""

    inputs: Given
    model: str | None = None
    truncate: bool | None = None
    truncation_direction: TruncationDirection | None = None
    prompt_name: str | None = None


class EmbedRequest(EmbedAllRequest):
    """The body of a request for text vectors."""

    normalize: bool | None = None
    dimensions: int | None = None


class Sentences(Struct):
    """Sentences, and the one to compare them with."""

    source_sentence: str
    sentences: list[str]


class SimilarityParameters(Struct):
    """Optional parameters of a comparison."""

    truncate: bool | None = None
    truncation_direction: TruncationDirection | None = None
    prompt_name: str | None = None


class SimilarityRequest(Struct):
    """The body of a request to compare sentences."""

    inputs: Sentences
    model: str | None = None
    parameters: SimilarityParameters | None = field(default_factory=SimilarityParameters)


class EmbeddingRoutes:
    """Embeds and compares texts.

    Args:
        service: Computes the vectors.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._embed_body, self._tokens_body = JsonBody(EmbedRequest), JsonBody(EmbedAllRequest)
        self._similarity_body = JsonBody(SimilarityRequest)

    async def embed(self, body: bytes) -> HttpResponse:
        """Embeds texts, in vectors of length 1 unless ``normalize`` is false.

        Args:
            body: The body of the request.

        Raises:
            RequestError: If the request is invalid.
        """
        watch = Stopwatch()
        asked = self._embed_body.read(body)
        texts = read_texts("inputs", asked.inputs)
        is_raw = asked.normalize is False
        info, options = self._choose(asked.model, asked, unscaled=is_raw)
        answer = await self._service.embed(info.name, texts, options, dimensions=asked.dimensions)
        if not is_raw:
            answer = scale_answer(answer)
        return watch.respond(b"[%b]" % b",".join(await write_numbers(answer.results)), answer, texts)

    async def embed_tokens(self, body: bytes) -> HttpResponse:
        """Embeds each token of texts, in vectors as the model computes them.

        Args:
            body: The body of the request.

        Raises:
            RequestError: If the request is invalid.
        """
        watch = Stopwatch()
        asked = self._tokens_body.read(body)
        texts = read_texts("inputs", asked.inputs)
        info, options = self._choose(asked.model, asked)
        answer = await self._service.embed_tokens(info.name, texts, options)
        written = [b"[%b]" % b",".join(await write_numbers(vectors)) for vectors in answer.results]
        return watch.respond(b"[%b]" % b",".join(written), answer, texts)

    async def compare(self, body: bytes) -> HttpResponse:
        """Compares sentences with another one, by the cosine of their vectors.

        Args:
            body: The body of the request.

        Raises:
            RequestError: If the request is invalid.
        """
        watch = Stopwatch()
        asked = self._similarity_body.read(body)
        check_count("inputs.sentences", asked.inputs.sentences)
        texts = [asked.inputs.source_sentence, *asked.inputs.sentences]
        info, options = self._choose(asked.model, asked.parameters or SimilarityParameters())
        answer = await self._service.embed(info.name, texts, options)
        vectors = scale(answer.results)
        return watch.respond(json.encode((vectors[1:] @ vectors[0]).tolist()), answer, texts)

    def _choose(
        self, name: str | None, asked: EmbedAllRequest | SimilarityParameters, *, unscaled: bool = False
    ) -> tuple[ModelInfo, CallOptions]:
        """Returns the model and the options of a request."""
        info = self._service.choose(("embed",), name)
        prompt = check_prompt(info, "prompt_name", asked.prompt_name)
        return info, call_options(asked, prompt=prompt, unscaled=unscaled)


async def refuse_sparse(body: bytes) -> HttpResponse:  # noqa: ARG001 - as every route
    """Refuses ``/embed_sparse``: no package makes sparse vectors."""
    raise FieldError(None, "no model of this server makes sparse vectors", hint="/embed makes dense ones")
