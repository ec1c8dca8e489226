"""The border around the tokenizers library: its failures, including panics, become errors of Inferox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from inferox.core import InferoxError, PackageError, first_line

_NOT_FAILURES = (KeyboardInterrupt, SystemExit, GeneratorExit)


@contextmanager
def translated_tokenizer(action: str, *, hint: str) -> Iterator[None]:
    """Translates whatever the library raises in the block; see ``translate_tokenizer``.

    A panic of its Rust code is a ``BaseException`` that no ``except Exception`` catches. A vocabulary that lacks its
    unknown token fails only on a text that needs it, with a bare ``Exception``.

    Args:
        action: What is being done, such as ``reading tokenizer.json``.
        hint: What the reader can do about it.

    Raises:
        PackageError: If the library fails.
    """
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - always raises
        translate_tokenizer(error, action, hint=hint)


def translate_tokenizer(error: BaseException, action: str, *, hint: str) -> NoReturn:
    """Raises the error of Inferox for an exception of the library, or the exception itself if it is not the library's.

    Args:
        error: The caught exception.
        action: What was being done.
        hint: What the reader can do about it.

    Raises:
        PackageError: If the library failed.
        BaseException: The exception, if it is another.
    """
    if isinstance(error, (*_NOT_FAILURES, InferoxError, MemoryError)):
        raise error
    raise PackageError(f"{action} failed: {first_line(error)}", hint=hint) from error


@contextmanager
def translated_panics(action: str, *, hint: str) -> Iterator[None]:
    """Translates panics of native code, and lets every ``Exception`` pass to a caller that can interpret it.

    Args:
        action: What is being done, such as ``asking transformers``.
        hint: What the reader can do about it.

    Raises:
        PackageError: If native code panics.
        Exception: Whatever else is raised.
    """
    try:
        yield
    except (*_NOT_FAILURES, Exception):
        raise
    except BaseException as error:
        raise PackageError(f"{action} failed: {first_line(error)}", hint=hint) from error
