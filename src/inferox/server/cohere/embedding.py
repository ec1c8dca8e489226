"""Cohere's ``/v1/embed`` and ``/v2/embed``."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from msgspec import Struct, json

from inferox.engine import ModelInfo
from inferox.server.answer_headers import describe
from inferox.server.call_options import CallOptions
from inferox.server.field_error import FieldError
from inferox.server.http_response import HttpResponse
from inferox.server.input_texts import check_count
from inferox.server.json_body import JsonBody
from inferox.server.limits import refuse_shorter
from inferox.server.prompts import choose_prompt
from inferox.server.service import Service
from inferox.server.vector_json import write_base64, write_numbers
from inferox.server.vectors import to_bits, to_int8
from inferox.tasks.vector_settings import VectorRanges

_PER_BYTE = 8

_BITS, _CALIBRATED = frozenset({"binary", "ubinary"}), frozenset({"int8", "uint8"})
_KNOWN = ("float", "base64", "binary", "ubinary", "int8", "uint8")

_SIDES = {"NONE": None, "START": "left", "END": "right"}
"""The side on which texts that are too long are cut; ``None`` to refuse them."""


class CohereContent(Struct):
    """One of the parts of an input."""

    type: str
    text: str | None = None


class CohereInput(Struct):
    """An input made of parts."""

    content: list[CohereContent]


class CohereEmbedRequest(Struct):
    """The body of a request."""

    model: str
    texts: list[str] | None = None
    inputs: list[CohereInput] | None = None
    images: list[Any] | None = None
    input_type: str | None = None
    embedding_types: list[str] | None = None
    output_dimension: int | None = None
    truncate: Literal["NONE", "START", "END"] | None = None
    max_tokens: int | None = None
    priority: int | None = None


class ApiVersion(Struct, forbid_unknown_fields=True):
    """The version of the protocol."""

    version: str


class EmbedUnits(Struct, forbid_unknown_fields=True):
    """The units that Cohere would bill."""

    input_tokens: int


class EmbedMeta(Struct, forbid_unknown_fields=True):
    """Metadata of a response."""

    api_version: ApiVersion
    billed_units: EmbedUnits


class CohereEmbedAnswer(Struct, forbid_unknown_fields=True):
    """The body of a response: vectors by embedding type, or a bare list of vectors."""

    id: str
    embeddings: list[list[float]] | dict[str, list[list[float] | str]]
    texts: list[str]
    meta: EmbedMeta
    response_type: Literal["embeddings_floats", "embeddings_by_type"]


class CohereEmbedRoute:
    """Embeds texts.

    Args:
        service: Computes the vectors.
        gives_bare: Whether vectors are returned as a bare list if no types are requested, as in v1.
    """

    def __init__(self, service: Service, *, gives_bare: bool) -> None:
        self._service = service
        self._gives_bare = gives_bare
        self._body = JsonBody(CohereEmbedRequest)

    async def answer(self, body: bytes) -> HttpResponse:
        """Answers a request.

        Args:
            body: The body of the request.

        Raises:
            RequestError: If the request is invalid.
        """
        asked = self._body.read(body)
        texts = _read_texts(asked)
        types = _read_types(asked.embedding_types)
        info = self._service.find(asked.model, "embed")
        refuse_shorter(info, "max_tokens", asked.max_tokens)
        _check_types(types, info, asked.output_dimension or info.dimension)
        side = _SIDES[asked.truncate or "END"]
        options = CallOptions(
            cut=side is not None,
            truncation_side=side,
            prompt=choose_prompt(info, "input_type", asked.input_type),
            priority=asked.priority or 0,
        )
        answer = await self._service.embed(
            asked.model, texts, options, dimensions=asked.output_dimension, dimensions_field="output_dimension"
        )
        written = {kind: await _write(answer.results, kind, info.vector_ranges) for kind in types}
        is_bare = self._gives_bare and asked.embedding_types is None
        embeddings = (
            written["float"]
            if is_bare
            else b"{%b}" % b",".join(b"%b:%b" % (json.encode(kind), rows) for kind, rows in written.items())
        )
        meta = EmbedMeta(ApiVersion("1" if self._gives_bare else "2"), EmbedUnits(answer.tokens))
        content = b'{"id":%b,"embeddings":%b,"texts":%b,"meta":%b,"response_type":%b}' % (
            json.encode(token_hex(16)),
            embeddings,
            json.encode(texts),
            json.encode(meta),
            json.encode("embeddings_floats" if is_bare else "embeddings_by_type"),
        )
        return HttpResponse(content, headers=describe(answer))


def _read_texts(asked: CohereEmbedRequest) -> Sequence[str]:
    if asked.images is not None:
        raise FieldError("images", f"{asked.model[:200]!r} cannot embed images here: only texts are supported")
    given = [name for name in ("texts", "inputs") if getattr(asked, name) is not None]
    if len(given) != 1:
        raise FieldError(
            "texts", f"a request has either texts or inputs, but this one has {' and '.join(given) or 'neither'}"
        )
    if asked.texts is not None:
        check_count("texts", asked.texts)
        return asked.texts
    inputs = asked.inputs or []
    check_count("inputs", inputs)
    return [_read_input(item, f"inputs[{index}]") for index, item in enumerate(inputs)]


def _read_input(item: CohereInput, place: str) -> str:
    texts = [part.text for part in item.content if part.type == "text" and part.text is not None]
    if len(item.content) != 1 or len(texts) != 1:
        raise FieldError(place, f"{place} must have exactly one part, of the type text")
    return texts[0]


def _read_types(types: list[str] | None) -> Sequence[str]:
    if not types:
        return ["float"]
    for kind in types:
        if kind not in _KNOWN:
            raise FieldError("embedding_types", f"{kind[:100]!r} is not one of {', '.join(_KNOWN)}")
    return list(dict.fromkeys(types))


def _check_types(types: Sequence[str], info: ModelInfo, dimension: int | None) -> None:
    if dimension is not None and dimension % _PER_BYTE and _BITS.intersection(types):
        raise FieldError(
            "embedding_types", f"vectors of {dimension} numbers have no bits, as that is not a multiple of 8"
        )
    if not _CALIBRATED.intersection(types):
        return
    if info.vector_ranges is None:
        raise FieldError(
            "embedding_types",
            f"vectors in int8 and uint8 need the ranges of their numbers, which the package of {info.name!r} lacks",
            hint="pack it with --vector-ranges; or request binary or ubinary, which need none",
        )
    if dimension != info.dimension:
        raise FieldError(
            "embedding_types",
            f"the ranges for vectors in int8 and uint8 are those of whole vectors, but output_dimension is {dimension}",
            hint="leave output_dimension out",
        )


async def _write(vectors: npt.NDArray[np.float32], kind: str, ranges: VectorRanges | None) -> bytes:
    if kind == "base64":
        rows = write_base64(vectors)
    elif kind == "float":
        rows = await write_numbers(vectors)
    elif ranges is not None and kind in _CALIBRATED:
        rows = await write_numbers(to_int8(vectors, ranges, signed=kind == "int8"))
    else:
        rows = await write_numbers(to_bits(vectors, signed=kind == "binary"))
    return b"[%b]" % b",".join(rows)
