"""Items of calls as rows of bytes, checked before any is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from inferox.core import RequestError
from inferox.tasks.given_items import as_list
from inferox.tasks.image_file import ImageFile
from inferox.tasks.texts import check_pairs, check_texts

Rows = Iterator[tuple[bytes, ...]]


def text_rows(texts: Iterable[str]) -> Rows:
    """Returns texts as rows, encoded lazily.

    Args:
        texts: The texts.

    Raises:
        RequestError: If an item is not a string that can be encoded; the error names it.
    """
    items = as_list(texts)
    check_texts(items)
    return ((text.encode(),) for text in items)


def pair_rows(pairs: Iterable[tuple[str, str]]) -> Rows:
    """Returns pairs of texts as rows, encoded lazily.

    Args:
        pairs: The pairs.

    Raises:
        RequestError: If an item is not a pair of strings that can be encoded; the error names it.
    """
    items = as_list(pairs)
    check_pairs(items)
    return ((first.encode(), second.encode()) for first, second in items)


def image_rows(images: Sequence[bytes | Path]) -> Rows:
    """Returns images as rows, read lazily.

    Args:
        images: The encoded images as bytes, or paths of regular files.

    Raises:
        RequestError: If an item is neither, or a file cannot be read; the error names it.
    """
    items = as_list(images)
    for index, item in enumerate(items):
        if not isinstance(item, bytes | Path):
            error = RequestError(f"image {index} must be bytes or a pathlib.Path, but is of {type(item).__name__}")
            raise error.naming_item(index, "image {}")
    return ((_read_image(item, index),) for index, item in enumerate(items))


def _read_image(image: bytes | Path, index: int) -> bytes:
    return image if isinstance(image, bytes) else ImageFile.at(image).read(f"image {index}")
