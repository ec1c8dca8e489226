"""Records of the input as items of a task: a text, a pair of texts, an image or named tensors."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferox.core import RequestError
from inferox.tasks import ImageFile, read_tensors

_MAX_NAMED = 8
"""The most columns that an error names."""


@dataclass(frozen=True)
class PairOptions:
    """The form of pairs of texts, for records that do not contain both texts.

    Attributes:
        query: The first text of every pair (rerank); ``None`` if records contain it.
        second: The second text of every pair (classify); ``None`` if records contain it, or are single texts.
        in_columns: Whether a record of plain text is a pair: two columns separated by a tab.
    """

    query: str | None = None
    second: str | None = None
    in_columns: bool = False


def items_of(task: str, record: Any, pairs: PairOptions, where: str) -> Iterator[Any]:
    """Yields the items of a record.

    Args:
        task: The task's name.
        record: A line or an argument as text, or a JSON value.
        pairs: The form of pairs.
        where: The name of the record in errors, such as ``line 3``.

    Yields:
        Texts, pairs of texts, image files, or the named tensors of a call.

    Raises:
        RequestError: If the record has keys that the task does not take, or has the wrong form.
    """
    if pairs.in_columns and isinstance(record, str):
        record = _columns(record, where)
    if task == "raw":
        yield read_tensors(Path(record)) if isinstance(record, str) else record
    elif task == "rerank":
        yield from _queries_and_documents(record, pairs, where)
    elif task == "classify":
        yield _text_or_pair(record, pairs, where)
    elif task == "image-classify":
        yield _image(record, where)
    else:
        yield _text(record, where)


def _text(record: Any, where: str) -> str:
    if isinstance(record, dict):
        _check_keys(record, ("text",), where, '{"text": "…"}')
        record = record.get("text")
    if not isinstance(record, str):
        raise _malformed(record, where, 'a JSON string, or an object such as {"text": "…"}')
    return record


def _text_or_pair(record: Any, pairs: PairOptions, where: str) -> str | tuple[str, str]:
    form = 'a JSON string, a list of two, or an object such as {"text": "…", "text_pair": "…"}'
    if isinstance(record, dict):
        _check_keys(record, ("text", "text_pair"), where, '{"text": "…", "text_pair": "…"}')
        record = [record.get("text"), record["text_pair"]] if "text_pair" in record else record.get("text")
    if isinstance(record, list):
        if pairs.second is not None:
            raise RequestError(f"{where} is already a pair", hint="leave out --text-pair")
        return _pair(record, where, form)
    if not isinstance(record, str):
        raise _malformed(record, where, form)
    return record if pairs.second is None else (record, pairs.second)


def _queries_and_documents(record: Any, pairs: PairOptions, where: str) -> Iterator[tuple[str, str]]:
    form = 'a list of two texts, or an object such as {"query": "…", "documents": ["…"]}'
    if isinstance(record, dict) and "text_pair" in record:
        _check_keys(record, ("text", "text_pair"), where, '{"text": "…", "text_pair": "…"}')
        record = [record.get("text"), record["text_pair"]]
    if isinstance(record, list):
        yield _pair(record, where, form)
        return
    query, documents = pairs.query, [record]
    if isinstance(record, dict):
        _check_keys(record, ("query", "document", "documents"), where, '{"query": "…", "documents": ["…"]}')
        if ("document" in record) == ("documents" in record):
            raise _malformed(record, where, form)
        query = record.get("query", query)
        documents = record["documents"] if "documents" in record else [record["document"]]
    if query is None:
        raise RequestError(f"{where} has no query to rank it for", hint="give one with --query")
    if not isinstance(query, str) or not isinstance(documents, list):
        raise _malformed(record, where, form)
    for document in documents:
        if not isinstance(document, str):
            raise _malformed(record, where, form)
        yield query, document


def _image(record: Any, where: str) -> ImageFile:
    if isinstance(record, dict):
        _check_keys(record, ("image",), where, '{"image": "PATH"}')
        record = record.get("image")
    if not isinstance(record, str):
        raise _malformed(record, where, 'a path, or an object such as {"image": "PATH"}')
    if record[:8].lower().startswith(("http://", "https://")):
        raise RequestError(f"{where} is an address, and images are not fetched: {_excerpt(record)}", hint="download it")
    return _decode_uri(record, where) if record.startswith("data:") else ImageFile.at(Path(record))


def _columns(record: str, where: str) -> list[str]:
    columns = record.split("\t")
    if len(columns) != 2:  # noqa: PLR2004 - a pair
        raise RequestError(
            f"{where} must have two columns, separated by a tab, but has {len(columns)}: {_excerpt(record)}",
            hint="texts with tabs of their own can be given as JSON lines",
        )
    return columns


def _pair(record: list[Any], where: str, form: str) -> tuple[str, str]:
    if len(record) != 2 or not all(isinstance(text, str) for text in record):  # noqa: PLR2004 - a pair
        raise _malformed(record, where, form)
    return record[0], record[1]


def _decode_uri(uri: str, where: str) -> ImageFile:
    head, comma, content = uri.partition(",")
    if not comma or not head.endswith(";base64"):
        raise RequestError(f"{where} must be a path or a URI such as data:image/png;base64,…: {_excerpt(uri)}")
    try:
        return ImageFile(where, base64.b64decode(content, validate=True))
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"{where} is not base64: {error}") from error


def _check_keys(record: Mapping[str, Any], known: tuple[str, ...], where: str, example: str) -> None:
    unknown = [key for key in record if key not in known]
    if unknown:
        raise RequestError(
            f"{where} has the unknown key{'s' * (len(unknown) > 1)} {', '.join(unknown)}",
            hint=f"this task takes {', '.join(known)}, as in {example}{_bulk_hint(record, known)}",
        )


def _bulk_hint(record: Mapping[str, Any], known: tuple[str, ...]) -> str:
    """Returns how to read the texts among other columns, as a continuation of a hint."""
    texts = [name for name, value in record.items() if isinstance(value, str)]
    if "image" in known or not texts:
        return ""
    names = ", ".join(texts[:_MAX_NAMED]) + ", …" * (len(texts) > _MAX_NAMED)
    pair = "" if known == ("text",) else ", and --pair-column NAME for pairs"
    return f"; to read a column of --input FILE into --output, add --column NAME{pair}, where NAME is one of: {names}"


def _malformed(record: Any, where: str, form: str) -> RequestError:
    return RequestError(f"{where} must be {form}: {_excerpt(record)}")


def _excerpt(record: Any) -> str:
    text = json.dumps(record, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004 - enough to recognise the line by
