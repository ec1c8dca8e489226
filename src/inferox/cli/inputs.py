"""Reading the items of ``inferox run`` from arguments, files and standard input."""

from __future__ import annotations

import codecs
import logging
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from inferox.cli.bulk import JSON_LINES_SUFFIXES, ROW_FILES
from inferox.cli.items import PairOptions, items_of
from inferox.core import ConfigError, InferoxError, RequestError, parse_json
from inferox.tasks import ImageFile, read_tensors
from inferox.tasks.image_file import MAX_FILE_BYTES

STDIN = "-"
"""The name of standard input on the command line."""

_TASKS_OF_FILES = ("image-classify", "raw")
"""The tasks whose arguments are paths."""

_FILES_OF_TEXTS = (*ROW_FILES, *JSON_LINES_SUFFIXES, ".txt")

_IMAGE_BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")

_logger = logging.getLogger(__name__)


def read_items(
    task: str, arguments: Sequence[str], source: str | None, *, pairs: PairOptions, json_lines: bool
) -> Iterator[Any]:
    """Reads items one by one, so that an input of any length needs little memory.

    Args:
        task: The task's name, which determines the kind of items.
        arguments: The arguments on the command line: texts, or paths of images or tensors; ``-`` for standard input.
        source: The file to read instead, or ``-``.
        pairs: The form of pairs of texts, if items are pairs.
        json_lines: Whether the lines of the input are JSON, whatever the file is called.

    Yields:
        Texts, pairs of texts, image files, or for ``raw`` the tensors of each call by name.

    Raises:
        ConfigError: If an option does not fit the form of the input.
        RequestError: If there is nothing to read, a file cannot be read, or a line is malformed; the error names the
            line.
    """
    if list(arguments) == [STDIN] and source is None:
        arguments, source = (), STDIN
    if STDIN in arguments:
        raise RequestError(
            "- stands for standard input, which must be the only source of items, but there are others",
            hint="give - alone; a text that is a single - may come from standard input",
        )
    if bool(arguments) == (source is not None):
        raise RequestError(
            f"expected items either on the command line or from --input, but got {'both' if arguments else 'none'}",
            hint="give texts or paths, --input FILE, or - for standard input",
        )
    if source is None:
        if json_lines:
            raise ConfigError("--jsonl is for the lines of an input, but the items are on the command line")
        if task not in _TASKS_OF_FILES:
            _refuse_files(arguments)
        records: Iterator[Any] = _read_arguments(arguments, pairs)
    elif task == "raw" and source != STDIN and not _is_json(source, json_lines=json_lines):
        yield read_tensors(Path(source))
        return
    else:
        is_json = _is_json(source, json_lines=json_lines) or task == "raw"
        records = _read_records(source, is_json=is_json, task=task)
    for number, record in enumerate(records, start=1):
        where = f"item {number}" if source is None else f"line {number}"
        # An image file is the whole of standard input.
        yield from [record] if isinstance(record, ImageFile) else items_of(task, record, pairs, where)


def _refuse_files(texts: Sequence[str]) -> None:
    for text in texts:
        # Only these suffixes: a file or folder may well be called like a word.
        if text.endswith(_FILES_OF_TEXTS) and _is_file(text):
            raise RequestError(
                f"{text!r} is a file, and as an argument it would be a text itself",
                hint=f"read the file with --input {text}; its name as a text may come from standard input",
            )


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # it is longer than any name
        return False


def _is_json(source: str, *, json_lines: bool) -> bool:
    return json_lines or Path(source).suffix in JSON_LINES_SUFFIXES


def _read_arguments(arguments: Sequence[str], pairs: PairOptions) -> Iterator[Any]:
    if not pairs.in_columns:
        return iter(arguments)
    if len(arguments) % 2:
        raise ConfigError(f"--pairs takes an even number of arguments, but there are {len(arguments)}")
    return ([first, second] for first, second in zip(arguments[::2], arguments[1::2], strict=True))


def _read_records(source: str, *, is_json: bool, task: str) -> Iterator[Any]:
    name = "standard input" if source == STDIN else source
    lines = _read_lines(source)
    first = next(lines, None)
    if first is None:
        return
    if source == STDIN and task == "image-classify" and _begins_image(first):
        yield ImageFile(name, _read_rest(first))
        return
    # Some editors on Windows begin a file with a byte order mark, which is not part of the text.
    lines = chain([first.removeprefix(codecs.BOM_UTF8)], lines)
    for number, line in enumerate(lines, start=1):
        where = f"line {number} of {name}"
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise RequestError(
                f"{where} is not UTF-8: byte {error.start} is {line[error.start]:#04x}",
                hint="convert it to UTF-8, or give images and tensors by their paths",
            ) from error
        if number == 1 and not is_json:
            _warn_of_json(text, name)
        yield _parse(text, where) if is_json else text


def _parse(text: str, where: str) -> Any:
    # Tensors may hold NaN and infinities. Lines have no size limit: the caller wrote them.
    return parse_json(text, where, error_type=RequestError, max_bytes=sys.maxsize, allow_non_finite=True)


def _warn_of_json(text: str, name: str) -> None:
    if not text.startswith(("{", "[")):
        return
    try:
        looks_like_json = isinstance(parse_json(text, name), dict | list)
    except InferoxError:
        return
    if looks_like_json:
        _logger.warning("the first line of %s looks like JSON and is taken as a text; --jsonl reads it as JSON", name)


def _read_lines(source: str) -> Iterator[bytes]:
    if source == STDIN:
        if sys.stdin is None:
            raise RequestError("standard input is closed", hint="give texts, or --input FILE")
        yield from sys.stdin.buffer
        return
    try:
        with Path(source).open("rb") as stream:
            yield from stream
    except (OSError, ValueError) as error:
        raise RequestError(f"{source!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _begins_image(line: bytes) -> bool:
    if not line.startswith(_IMAGE_BEGINNINGS):
        return False
    try:
        return "\0" in line.decode("utf-8")
    except UnicodeDecodeError:
        return True


def _read_rest(first: bytes) -> bytes:
    return first + sys.stdin.buffer.read(max(0, MAX_FILE_BYTES + 1 - len(first)))
