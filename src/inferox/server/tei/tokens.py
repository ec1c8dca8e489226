"""TEI's ``/tokenize`` and ``/decode``."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, json

from inferox.server.field_error import FieldError
from inferox.server.http_response import HttpResponse
from inferox.server.input_texts import Given, check_count, read_texts
from inferox.server.json_body import JsonBody
from inferox.server.prompts import check_prompt
from inferox.server.service import TEXT_TASKS, Service

_MOST_CHARACTERS = _MOST_IDS = 2**18
"""The most characters to tokenize, and ids to decode, in a request: a token takes 70 bytes of an answer, and ten times
as many before it is written."""


class TokenizeRequest(Struct):
    """The body of a request to tokenize texts."""

    inputs: Given
    model: str | None = None
    add_special_tokens: bool | None = None
    prompt_name: str | None = None


class DecodeRequest(Struct):
    """The body of a request to decode token ids."""

    ids: list[int | list[int]]
    model: str | None = None
    skip_special_tokens: bool | None = None


class TokenRoutes:
    """Tokenizes texts, and decodes token ids.

    Args:
        service: The service that holds the tokenizers.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tokenize_body, self._decode_body = JsonBody(TokenizeRequest), JsonBody(DecodeRequest)

    async def tokenize(self, body: bytes) -> HttpResponse:
        """Splits texts into tokens.

        Args:
            body: The body of the request.

        Raises:
            RequestError: If the request is invalid.
        """
        asked = self._tokenize_body.read(body)
        texts = read_texts("inputs", asked.inputs)
        _check_total("inputs", sum(map(len, texts)), _MOST_CHARACTERS, "characters")
        info = self._service.choose(TEXT_TASKS, asked.model)
        prompt = check_prompt(info, "prompt_name", asked.prompt_name)
        tokens = await self._service.tokenize(
            info.name, texts, prompt=prompt, add_special_tokens=asked.add_special_tokens is not False
        )
        return HttpResponse(json.encode(tokens))

    async def decode(self, body: bytes) -> HttpResponse:
        """Decodes token ids to texts.

        Args:
            body: The body of the request.

        Raises:
            RequestError: If the request is invalid.
        """
        asked = self._decode_body.read(body)
        lists = _read_lists(asked.ids)
        _check_total("ids", sum(map(len, lists)), _MOST_IDS, "token ids")
        info = self._service.choose(TEXT_TASKS, asked.model)
        texts = await self._service.detokenize(
            info.name, lists, skip_special_tokens=asked.skip_special_tokens is not False
        )
        return HttpResponse(json.encode(texts))


def _read_lists(ids: list[int | list[int]]) -> Sequence[Sequence[int]]:
    """Reads token ids: those of one text, or a list of them for each of several."""
    numbers = [number for number in ids if isinstance(number, int)]
    if numbers and len(numbers) == len(ids):
        return [numbers]
    if numbers:
        raise FieldError("ids", "ids mixes token ids and lists of them", hint="send [id, id] or [[id], [id, id]]")
    lists = [some for some in ids if isinstance(some, list)]
    check_count("ids", lists)
    return lists


def _check_total(field: str, count: int, most: int, what: str) -> None:
    if count > most:
        raise FieldError(
            field, f"{field} may have {most:,} {what} together, but have {count:,}", hint="send fewer at a time"
        )
