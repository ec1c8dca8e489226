"""Reading ``tokenizer.json``, where need be before it is needed: for processes that are forked later."""

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
    """The file of a tokenizer that is in use as long as this lives.

    Attributes:
        path: The file, as an absolute path.
    """

    path: Path


_in_use: WeakSet[TokenizerFile] = WeakSet()
"""The files of which somebody has a tokenizer."""

_ready: defaultdict[bytes, list[Tokenizer]] = defaultdict(list)
"""Tokenizers that nobody has yet, by the digest of what they were made of."""


def open_tokenizer(path: Path) -> tuple[Tokenizer, TokenizerFile]:
    """Reads and checks a file, unless a tokenizer of the same content is there that nobody has yet.

    Args:
        path: The file.

    Returns:
        The tokenizer, which the caller may change; and its file, to be kept as long as the tokenizer is in use.

    Raises:
        PackageError: If there is no file, or it cannot be read, or is refused; see ``read_tokenizer``.
    """
    content = _read(path)
    # Nothing is ready but in a fork, which need not know what its content is otherwise.
    ready = _ready.get(_digest(content)) if _ready else None
    tokenizer, file = ready.pop() if ready else _make(content, path), TokenizerFile(path.absolute())
    _in_use.add(file)
    return tokenizer, file


def list_tokenizer_files() -> list[str]:
    """The files of the tokenizers that are in use in this process, as absolute paths, one for each use."""
    return sorted(str(file.path) for file in _in_use)


def open_in_advance(paths: Iterable[str]) -> None:
    """Makes tokenizers that ``open_tokenizer`` gives away, each once, where its file has the same content.

    Reading and checking MiniLM's takes some 0.04 s, which forks of this process need not spend again. A file that
    cannot be read is left out: whoever needs it is told why.

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
