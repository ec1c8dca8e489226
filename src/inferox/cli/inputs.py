"""Reading the items of ``inferox run`` from arguments, files and standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from inferox.core import RequestError
from inferox.tasks import ImageFile, read_tensors

STDIN = "-"
"""The name that stands for standard input."""

JSON_LINES_SUFFIXES = frozenset({".jsonl", ".ndjson"})
"""Files whose lines are JSON. The lines of other files are texts, whatever they look like."""


def read_items(
    task: str, arguments: Sequence[str], source: str | None, *, query: str | None, json_lines: bool
) -> Iterator[Any]:
    """Reads the items one by one, so that an input of any length needs little memory.

    Args:
        task: The task's name, which decides what an item is.
        arguments: The words on the command line: texts, or paths of images or tensors; ``-`` for standard input.
        source: The file to read instead, or ``-``.
        query: The query that every text is ranked for; only of use to ``rerank``.
        json_lines: Whether the lines of standard input are JSON.

    Yields:
        Texts, ``(query, document)`` pairs, paths of images, or for ``raw`` the tensors of each call by name.

    Raises:
        RequestError: If there is nothing to read, a file cannot be read, or a line is malformed; it names the line.
    """
    if list(arguments) == [STDIN] and source is None:
        arguments, source = (), STDIN
    if bool(arguments) == (source is not None):
        raise RequestError(
            "expected items either on the command line or from --input" + ("" if arguments else ", and got none"),
            hint="give texts or paths, --input FILE, or - for standard input",
        )
    if task == "raw" and source not in {None, STDIN} and Path(str(source)).suffix not in JSON_LINES_SUFFIXES:
        yield read_tensors(Path(str(source)))
        return
    records = iter(arguments) if source is None else _read_records(source, json_lines=json_lines or task == "raw")
    for number, record in enumerate(records, start=1):
        yield from _items_of(task, record, query, f"item {number}" if source is None else f"line {number}")


def _items_of(task: str, record: Any, query: str | None, where: str) -> Iterator[Any]:
    if task == "raw":
        yield read_tensors(Path(record)) if isinstance(record, str) else record
    elif task == "rerank":
        yield from _pairs_of(record, query, where)
    elif task == "image-classify":
        yield ImageFile.at(Path(_text_of(record, "image", where)))
    else:
        yield _text_of(record, "text", where)


def _text_of(record: Any, key: str, where: str) -> str:
    text = record.get(key) if isinstance(record, dict) else record
    if not isinstance(text, str):
        raise RequestError(f'{where} must be a JSON string, or an object such as {{"{key}": "…"}}: {_excerpt(record)}')
    return text


def _pairs_of(record: Any, query: str | None, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(record, dict):
        query = record.get("query", query)
        documents = record.get("documents", [record.get("document")])
    else:
        documents = [record]
    if not isinstance(query, str):
        raise RequestError(f"{where} has no query to rank it for", hint="give one with --query")
    if not isinstance(documents, list) or not all(isinstance(document, str) for document in documents):
        raise RequestError(
            f'{where} must be an object such as {{"query": "…", "documents": ["…"]}}: {_excerpt(record)}'
        )
    yield from ((query, document) for document in documents)


def _read_records(source: str, *, json_lines: bool) -> Iterator[Any]:
    name = "standard input" if source == STDIN else source
    is_json = json_lines if source == STDIN else Path(source).suffix in JSON_LINES_SUFFIXES
    for number, line in enumerate(_read_lines(source), start=1):
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise RequestError(
                f"line {number} of {name} is not UTF-8: byte {error.start} is {line[error.start]:#04x}",
                hint="convert it to UTF-8, or give images and tensors by their paths",
            ) from error
        try:
            yield json.loads(text) if is_json else text
        except (ValueError, RecursionError) as error:
            raise RequestError(f"line {number} of {name} is no JSON: {error}") from error


def _read_lines(source: str) -> Iterator[bytes]:
    if source == STDIN:
        if sys.stdin is None:
            raise RequestError("standard input is closed", hint="give texts, or --input FILE")
        yield from sys.stdin.buffer
        return
    try:
        with Path(source).open("rb") as stream:
            yield from stream
    except OSError as error:
        raise RequestError(f"{source} cannot be read: {error.strerror}") from error


def _excerpt(record: Any) -> str:
    text = json.dumps(record, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004 - enough to recognise the line by
