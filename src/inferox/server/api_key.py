"""An API key, and the file that lists keys."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct, toml

from inferox.core import ConfigError, counted

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LONGEST_FILE_BYTES = 2**20
_HOW = 'printf %s "$KEY" | sha256sum'


class _Entry(Struct, rename="kebab", forbid_unknown_fields=True):
    sha256: str
    requests_per_second: float | None = None
    burst: int | None = None
    requests_at_once: int | None = None


class _File(Struct, forbid_unknown_fields=True):
    keys: dict[str, _Entry]


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """An API key that the server accepts.

    Attributes:
        name: The name of the key in logs, metrics and the queue; not a secret.
        sha256: The SHA-256 of the key in hexadecimal. The key itself is never stored.
        requests_per_second: The number of requests it may send per second, on average; ``None`` for no limit.
        burst: The number of requests it may send at once after a pause; ``None`` for one second's worth, at least 1.
        requests_at_once: The number of its requests that may be unanswered at a time; ``None`` for no limit.

    Raises:
        ConfigError: If a value is out of range.
    """

    name: str
    sha256: str
    requests_per_second: float | None = None
    burst: int | None = None
    requests_at_once: int | None = None

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ConfigError(
                f"{self.name!r} is not a valid name for an API key", hint="use letters, digits, '.', '_' and '-'"
            )
        if _DIGEST.fullmatch(self.sha256) is None:
            raise ConfigError(
                f"the sha256 of API key {self.name!r} must be 64 hexadecimal digits", hint=f"compute it with: {_HOW}"
            )
        rate = self.requests_per_second
        if rate is not None and not 0 < rate < math.inf:
            raise ConfigError(f"requests-per-second of API key {self.name!r} must be positive, but is {rate!r}")
        for what, value in (("burst", self.burst), ("requests-at-once", self.requests_at_once)):
            if value is not None and value < 1:
                raise ConfigError(f"{what} of API key {self.name!r} must be a positive integer, but is {value!r}")
        if self.burst is not None and rate is None:
            raise ConfigError(f"API key {self.name!r} has a burst, but no requests-per-second")


def read_key(text: str) -> ApiKey:
    """Parses a key in the form that ``--api-key`` takes.

    Args:
        text: ``NAME=SHA256``.

    Raises:
        ConfigError: If the text is not of that form.
    """
    name, _, digest = text.partition("=")
    if not digest:
        raise ConfigError(f"{name[:64]!r} is not of the form NAME=SHA256", hint=f"compute the digest with: {_HOW}")
    return ApiKey(name=name, sha256=digest.lower())


def read_key_file(path: Path) -> list[ApiKey]:
    """Reads a file of keys: TOML with a table ``[keys.NAME]`` for each.

    Args:
        path: The file.

    Raises:
        ConfigError: If the file cannot be read, contains no key, or contains anything else.
    """
    try:
        size_bytes = path.stat().st_size
        if size_bytes > _LONGEST_FILE_BYTES:
            raise ConfigError(f"{path} has {counted(size_bytes, 'byte')}, too many for a file of API keys")
        found = toml.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise ConfigError(f"the API keys in {path} cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not a file of API keys: {error}", hint="it has a table [keys.NAME] with sha256 for each key"
        ) from error
    if not found.keys:  # which would let everybody in
        raise ConfigError(f"{path} has no API keys", hint="add a table [keys.NAME] with sha256, or leave the file out")
    return [
        ApiKey(
            name=name,
            sha256=entry.sha256.lower(),
            requests_per_second=entry.requests_per_second,
            burst=entry.burst,
            requests_at_once=entry.requests_at_once,
        )
        for name, entry in found.keys.items()
    ]
