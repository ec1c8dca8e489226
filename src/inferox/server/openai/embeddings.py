"""OpenAI's ``POST /v1/embeddings``."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct, json

from inferox.engine import Answer
from inferox.server.field_error import FieldError
from inferox.server.http_error import HttpError
from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse
from inferox.server.service import Service

_MOST_INPUTS = 2048
"""OpenAI's own limit."""

_ROWS_AT_ONCE = 64
"""How many vectors are written as numbers before others get their turn."""

_TO_MODEL_LIMIT = -1
"""What ``truncate_prompt_tokens`` says, as vLLM has it, to cut texts to what the model takes."""


class _Request(Struct):
    """The body of a request; what it has beside these fields is ignored, as OpenAI's clients may send anything."""

    model: str
    input: str | list[str | int | list[Any]]
    encoding_format: str | None = None
    dimensions: int | None = None
    truncate_prompt_tokens: int | None = None


class EmbeddingsRoute:
    """Makes vectors of texts.

    Args:
        service: What computes them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._decoder = json.Decoder(_Request)

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answers a request.

        Args:
            request: The request.

        Raises:
            RequestError: If it cannot be taken.
        """
        return await request.answer_json(self._answer)

    async def _answer(self, body: bytes) -> HttpResponse:
        asked = self._read(body)
        is_base64 = _is_base64(asked.encoding_format)
        texts = _read_texts(asked.input)
        answer = await self._embed(asked, texts)
        return HttpResponse(
            await _write(answer, asked.model, is_base64=is_base64),
            headers=_describe(answer),
        )

    def _read(self, body: bytes) -> _Request:
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError as error:
            message, _, place = str(error).partition(" - at `$.")
            raise FieldError(place.rstrip("`") or _name_missing(message), message) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HttpError(400, "invalid_json", f"the body is not JSON: {error}") from error
        except RecursionError as error:
            raise HttpError(400, "invalid_json", "the body is nested too deeply") from error

    async def _embed(self, asked: _Request, texts: Sequence[str]) -> Answer:
        if asked.dimensions is not None and asked.dimensions < 1:
            raise FieldError("dimensions", f"dimensions must be a positive integer, but is {asked.dimensions}")
        if asked.truncate_prompt_tokens not in {None, _TO_MODEL_LIMIT}:
            raise FieldError(
                "truncate_prompt_tokens",
                f"texts can be cut to what the model takes, which is -1, but not to {asked.truncate_prompt_tokens}",
            )
        cut = asked.truncate_prompt_tokens is not None
        return await self._service.embed(asked.model, texts, dimensions=asked.dimensions, cut=cut)


def _name_missing(message: str) -> str | None:
    """The field that a message says is missing."""
    return message.partition("field `")[2].partition("`")[0] or None


def _is_base64(encoding_format: str | None) -> bool:
    if encoding_format not in {None, "float", "base64"}:
        raise FieldError(
            "encoding_format", f"encoding_format must be 'float' or 'base64', but is {encoding_format[:100]!r}"
        )
    return encoding_format == "base64"


def _read_texts(given: str | list[str | int | list[Any]]) -> Sequence[str]:
    if isinstance(given, str):
        return [given]
    if not given:
        raise FieldError("input", "input is an empty list", hint="send at least one text")
    if len(given) > _MOST_INPUTS:
        raise FieldError("input", f"input may have {_MOST_INPUTS:,} texts, but has {len(given):,}")
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) < len(given):
        raise FieldError(
            "input",
            "input has token ids, which may be another tokenizer's, so that the vectors would be wrong",
            hint="send texts: with LangChain's OpenAIEmbeddings, set check_embedding_ctx_length=False",
        )
    return texts


def _describe(answer: Answer) -> dict[str, str]:
    """How an answer was computed, as headers."""
    facts = {
        "x-inferox-model": answer.model,
        "x-inferox-model-version": answer.version,
        "x-inferox-artifact": answer.artifact,
        "x-inferox-parity": answer.parity_class,
        "x-inferox-embedding-space": answer.embedding_space,
        "x-inferox-cut-inputs": str(sum(tokens.count > 0 for tokens in answer.cut_tokens)),
    }
    return {name: value for name, value in facts.items() if value is not None}


async def _write(answer: Answer, model: str, *, is_base64: bool) -> bytes:
    vectors = np.ascontiguousarray(answer.results, dtype="<f4")
    usage = json.encode({"prompt_tokens": answer.tokens, "total_tokens": answer.tokens})
    written = _as_base64(vectors) if is_base64 else await _as_numbers(vectors)
    rows = b",".join(
        b'{"object":"embedding","index":%d,"embedding":%b}' % (index, row) for index, row in enumerate(written)
    )
    return b'{"object":"list","data":[%b],"model":%b,"usage":%b}' % (rows, json.encode(model), usage)


def _as_base64(vectors: npt.NDArray[np.float32]) -> list[bytes]:
    return [b'"%b"' % b64encode(vector) for vector in vectors]


async def _as_numbers(vectors: npt.NDArray[np.float32]) -> list[bytes]:
    """Many vectors take a while to write: others get their turn in between."""
    rows: list[bytes] = []
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        if start:
            await asyncio.sleep(0)
        rows += map(json.encode, vectors[start : start + _ROWS_AT_ONCE].tolist())
    return rows
