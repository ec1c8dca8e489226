"""OpenAI's ``POST /v1/embeddings``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, json

from inferox.core import shown
from inferox.engine import Answer
from inferox.server.answer_headers import describe
from inferox.server.call_options import CallOptions
from inferox.server.defaults import OPENAI
from inferox.server.field_error import FieldError
from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse
from inferox.server.input_texts import Given, read_texts, read_token_ids
from inferox.server.json_body import JsonBody
from inferox.server.limits import check_truncation
from inferox.server.prompts import check_prompt, choose_prompt
from inferox.server.service import Service
from inferox.server.vector_json import write_base64, write_numbers
from inferox.server.vectors import scale_answer

_ONLY: Mapping[str, tuple[Any, ...]] = {
    "add_special_tokens": (True,),
    "embed_dtype": ("float32",),
    "endianness": ("little", "native"),
    "normalize": (True,),
    "normalized": (True,),
    "late_chunking": (False,),
}
"""Fields of vLLM and Jina that would change the vectors or how to read them, with the values that leave both alone."""


class EmbeddingsRequest(Struct):
    """The body of a request; unknown fields are ignored, as OpenAI's clients may send anything."""

    model: str
    input: Given
    encoding_format: str | None = None
    dimensions: int | None = None
    truncate_prompt_tokens: int | None = None
    prompt_name: str | None = None
    input_type: str | None = None
    task: str | None = None
    add_special_tokens: Any = None
    embed_dtype: Any = None
    endianness: Any = None
    normalize: Any = None
    normalized: Any = None
    late_chunking: Any = None


class EmbeddingItem(Struct, forbid_unknown_fields=True):
    """The vector of a text: a list of numbers, or base64 of little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(Struct, forbid_unknown_fields=True):
    """The number of tokens computed."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(Struct, forbid_unknown_fields=True):
    """The body of a response."""

    object: Literal["list"]
    data: list[EmbeddingItem]
    model: str
    usage: Usage


class EmbeddingsRoute:
    """Embeds texts.

    Args:
        service: Computes the vectors.
        accepts_token_ids: Whether token ids are accepted in place of texts.
    """

    def __init__(self, service: Service, *, accepts_token_ids: bool) -> None:
        self._service = service
        self._accepts_token_ids = accepts_token_ids
        self._body = JsonBody(EmbeddingsRequest)

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answers a request.

        Args:
            request: The request.

        Raises:
            RequestError: If the request is invalid.
        """
        return await request.answer_json(self._answer)

    async def _answer(self, body: bytes) -> HttpResponse:
        asked = self._body.read(body)
        _refuse_changes(asked)
        is_base64 = _is_base64(asked.encoding_format)
        ids = read_token_ids("input", asked.input) if self._accepts_token_ids else None
        answer = await self._embed(asked, read_texts("input", asked.input) if ids is None else ids, token_ids=bool(ids))
        return HttpResponse(
            await _write(answer, asked.model, is_base64=is_base64),
            headers=describe(answer),
        )

    async def _embed(self, asked: EmbeddingsRequest, items: Sequence[Any], *, token_ids: bool) -> Answer:
        if asked.dimensions is not None and asked.dimensions < 1:
            raise FieldError("dimensions", f"dimensions must be a positive integer, but is {asked.dimensions}")
        is_cut = check_truncation(asked.truncate_prompt_tokens)
        options = CallOptions(
            cut=OPENAI.cut or is_cut,
            prompt=self._choose_prompt(asked),
            token_ids=token_ids,
        )
        answer = await self._service.embed(asked.model, items, options, dimensions=asked.dimensions)
        return scale_answer(answer) if asked.normalize or asked.normalized else answer

    def _choose_prompt(self, asked: EmbeddingsRequest) -> str | None:
        said = [field for field in ("prompt_name", "input_type", "task") if getattr(asked, field) is not None]
        if not said:
            return None
        if len(said) > 1:
            raise FieldError(
                said[1], f"{' and '.join(said)} mean the same, so only one may be given", hint="leave one out"
            )
        info = self._service.find(asked.model, "embed")
        choose = check_prompt if said[0] == "prompt_name" else choose_prompt
        return choose(info, said[0], getattr(asked, said[0]))


def _refuse_changes(asked: EmbeddingsRequest) -> None:
    for field, harmless in _ONLY.items():
        value = getattr(asked, field)
        if value is not None and value not in harmless:
            allowed = " or ".join(map(repr, harmless))
            raise FieldError(
                field, f"{field} would change the answer: only {allowed} is supported, but it is {shown(value)}"
            )


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
