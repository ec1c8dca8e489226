"""A text file that appears under its name once it is complete."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from inferox.core import ConfigError


@contextmanager
def open_output(path: str, *, suffix: str, force: bool) -> Iterator[TextIO]:
    """Opens a file to be written; what fails or is interrupted leaves none.

    Args:
        path: The file.
        suffix: How its name must end.
        force: Whether a file that exists may be replaced.

    Yields:
        A stream to a temporary file beside it, which takes its place at the end.

    Raises:
        ConfigError: If the file exists, its name ends in something else, or it cannot be written.
    """
    target = Path(path)
    if target.suffix != suffix:
        raise ConfigError(f"the name of the output file must end in {suffix}, and is {target.name!r}")
    if target.exists() and not force:
        raise ConfigError(f"{target} exists already", hint="choose another name, or replace it with --force")
    if not target.parent.is_dir():
        raise ConfigError(f"there is no folder {target.parent}")
    with _translated(target):
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            yield stream
            with _translated(target):
                stream.flush()
        with _translated(target):
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _translated(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
