"""Output files that appear under their name only once they are complete."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from inferox.core import ConfigError


@contextmanager
def open_output(
    target: Path, *, suffixes: Collection[str], force: bool, suffix_hint: str | None = None
) -> Iterator[Path]:
    """Opens a temporary file that replaces the target at the end; a block that fails or is interrupted leaves none.

    Args:
        target: The file.
        suffixes: The allowed suffixes of its name.
        force: Whether an existing file may be replaced.
        suffix_hint: What the reader can do about a name with another suffix.

    Yields:
        The path of the temporary file, in the same folder.

    Raises:
        ConfigError: If the file exists, its name has another suffix, or it cannot be written.
    """
    if target.suffix not in suffixes:
        raise ConfigError(
            f"the name of the output file must end in {', '.join(suffixes)}, but is {target.name!r}", hint=suffix_hint
        )
    if target.exists() and not force:
        raise ConfigError(f"{target} already exists", hint="choose another name, or replace it with --force")
    if not target.parent.is_dir():
        raise ConfigError(f"there is no folder {target.parent}")
    with writing(target):
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with writing(target):
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Names the file in errors of the system while it is written.

    Args:
        target: The file.

    Raises:
        ConfigError: In place of an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
