"""OpenAI's ``POST /v1/embeddings``."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, json

from inferox.engine import Answer
from inferox.server.answer_headers import describe
from inferox.server.call_options import CallOptions
from inferox.server.defaults import OPENAI
from inferox.server.field_error import FieldError
from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse
from inferox.server.input_texts import Given, read_texts
from inferox.server.json_body import JsonBody
from inferox.server.prompts import check_prompt, choose_prompt
from inferox.server.service import Service
from inferox.server.vector_json import write_base64, write_numbers

_TO_MODEL_LIMIT = -1
"""What ``truncate_prompt_tokens`` says, as vLLM has it, to cut texts to what the model takes."""


class EmbeddingsRequest(Struct):
    """The body of a request; what it has beside these fields is ignored, as OpenAI's clients may send anything."""

    model: str
    input: Given
    encoding_format: str | None = None
    dimensions: int | None = None
    truncate_prompt_tokens: int | None = None
    prompt_name: str | None = None
    input_type: str | None = None
    task: str | None = None


class EmbeddingsRoute:
    """Makes vectors of texts.

    Args:
        service: What computes them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._body = JsonBody(EmbeddingsRequest)

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answers a request.

        Args:
            request: The request.

        Raises:
            RequestError: If it cannot be taken.
        """
        return await request.answer_json(self._answer)

    async def _answer(self, body: bytes) -> HttpResponse:
        asked = self._body.read(body)
        is_base64 = _is_base64(asked.encoding_format)
        texts = read_texts("input", asked.input)
        answer = await self._embed(asked, texts)
        return HttpResponse(
            await _write(answer, asked.model, is_base64=is_base64),
            headers=describe(answer),
        )

    async def _embed(self, asked: EmbeddingsRequest, texts: Sequence[str]) -> Answer:
        if asked.dimensions is not None and asked.dimensions < 1:
            raise FieldError("dimensions", f"dimensions must be a positive integer, but is {asked.dimensions}")
        if asked.truncate_prompt_tokens not in {None, _TO_MODEL_LIMIT}:
            raise FieldError(
                "truncate_prompt_tokens",
                f"texts can be cut to what the model takes, which is -1, but not to {asked.truncate_prompt_tokens}",
            )
        options = CallOptions(
            cut=OPENAI.cut or asked.truncate_prompt_tokens is not None, prompt=self._choose_prompt(asked)
        )
        return await self._service.embed(asked.model, texts, options, dimensions=asked.dimensions)

    def _choose_prompt(self, asked: EmbeddingsRequest) -> str | None:
        said = [field for field in ("prompt_name", "input_type", "task") if getattr(asked, field) is not None]
        if not said:
            return None
        if len(said) > 1:
            raise FieldError(said[1], f"{' and '.join(said)} say the same, and only one may", hint="leave one out")
        info = self._service.find(asked.model, "embed")
        choose = check_prompt if said[0] == "prompt_name" else choose_prompt
        return choose(info, said[0], getattr(asked, said[0]))


def _is_base64(encoding_format: str | None) -> bool:
    if encoding_format not in {None, "float", "base64"}:
        raise FieldError(
            "encoding_format", f"encoding_format must be 'float' or 'base64', but is {encoding_format[:100]!r}"
        )
    return encoding_format == "base64"


async def _write(answer: Answer, model: str, *, is_base64: bool) -> bytes:
    usage = json.encode({"prompt_tokens": answer.tokens, "total_tokens": answer.tokens})
    written = write_base64(answer.results) if is_base64 else await write_numbers(answer.results)
    rows = b",".join(
        b'{"object":"embedding","index":%d,"embedding":%b}' % (index, row) for index, row in enumerate(written)
    )
    return b'{"object":"list","data":[%b],"model":%b,"usage":%b}' % (rows, json.encode(model), usage)
