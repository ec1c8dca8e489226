"""Reading of ``tokenizer.json``, possibly in advance for processes that are forked later."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

from tokenizers import Tokenizer

from inferox.core import PackageError
from inferox.sources.tokenizer_limits import MAX_FILE_BYTES, read_tokenizer
from inferox.tasks.tokenizer_border import translated_tokenizer


@dataclass(frozen=True, eq=False)
class TokenizerFile:
    """The file of a tokenizer, which is in use as long as this object lives.

    Attributes:
        path: The file, as an absolute path.
    """

    path: Path


_in_use: WeakSet[TokenizerFile] = WeakSet()
"""The files whose tokenizers are in use."""

_ready: defaultdict[bytes, list[Tokenizer]] = defaultdict(list)
"""Tokenizers ready to be handed out, by the digest of their content."""


def open_tokenizer(path: Path) -> tuple[Tokenizer, TokenizerFile]:
    """Reads and checks a file, unless a tokenizer with the same content is ready to be handed out.

    Args:
        path: The file.

    Returns:
        The tokenizer, which the caller may modify; and its file, to be kept as long as the tokenizer is in use.

    Raises:
        PackageError: If the file is missing, unreadable or refused; see ``read_tokenizer``.
    """
    content = _read(path)
    # Tokenizers are only ready in a fork; other processes need not compute the digest.
    ready = _ready.get(_digest(content)) if _ready else None
    tokenizer, file = ready.pop() if ready else _make(content, path), TokenizerFile(path.absolute())
    _in_use.add(file)
    return tokenizer, file


def list_tokenizer_files() -> list[str]:
    """Lists the files of the tokenizers in use in this process, as absolute paths, one per use."""
    return sorted(str(file.path) for file in _in_use)


def open_in_advance(paths: Iterable[str]) -> None:
    """Makes tokenizers that ``open_tokenizer`` hands out, each once, for a file with the same content.

    Reading and checking MiniLM's takes about 0.04 s, which forks of this process are spared. A file that cannot be read
    is skipped: opening it later raises the error.

    Args:
        paths: The files.
    """
    for path in map(Path, paths):
        with suppress(PackageError, OSError):
            content = _read(path)
            _ready[_digest(content)].append(_make(content, path))


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise PackageError(
            f"there is no {path.name}",
            hint="AutoTokenizer.from_pretrained(DIRECTORY).save_pretrained(DIRECTORY) of transformers writes it",
        )
    with path.open("rb") as stream:
        return stream.read(MAX_FILE_BYTES + 1)


def _make(content: bytes, path: Path) -> Tokenizer:
    read_tokenizer(content)
    with translated_tokenizer(f"reading {path.name}", hint="fetch the model again"):
        return Tokenizer.from_buffer(content)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
