"""The settings of a client."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inferox.core import ConfigError

_MOST_ROWS = 2048
"""What the server takes in one request."""


@dataclass(frozen=True, kw_only=True)
class ClientConfig:
    """The settings of a client.

    Attributes:
        model: The model of calls that name none; ``None`` for the one model of the server that fits the call.
        api_key: Sent as ``authorization: Bearer``; ``None`` for none.
        timeout_s: How long a request may take with all its tries, from when it is sent first.
        retries: How many times a request is sent again that was refused for now (429, 503, 502), or whose connection
            could not be made or broke. Every request only computes, so that it may be sent twice.
        concurrency: How many requests may be unanswered at a time, and so how many connections there are.
        request_rows: The most rows of a request, up to the server's 2,048; more are divided.
        request_bytes: The most bytes of texts or images of a request, unless a single one is larger.
        ca_file: A PEM file with the authorities that certificates of servers are checked by; ``None`` for the system's.
        cert_file: A PEM file with the certificate that the client shows; ``None`` for none.
        key_file: The PEM file with its key; ``None`` where that is in ``cert_file``.
        embedding_spaces: The embedding space in which the vectors of a model must lie, by the model's name. Where none
            is stated, it is that of the first answer.
        headers: Further headers of every request.

    Raises:
        ConfigError: If a value is out of range.
    """

    model: str | None = None
    api_key: str | None = None
    timeout_s: float = 60.0
    retries: int = 5
    concurrency: int = 8
    request_rows: int = 256
    request_bytes: int = 4 * 2**20
    ca_file: str | Path | None = None
    cert_file: str | Path | None = None
    key_file: str | Path | None = None
    embedding_spaces: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.timeout_s < math.inf:
            raise ConfigError(f"timeout_s must be a positive number of seconds, but is {self.timeout_s!r}")
        if self.retries < 0:
            raise ConfigError(f"retries must be 0 or more, but is {self.retries!r}")
        if not 1 <= self.request_rows <= _MOST_ROWS:
            raise ConfigError(f"request_rows must be from 1 to {_MOST_ROWS:,}, but is {self.request_rows!r}")
        for name in ("concurrency", "request_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be a positive integer, but is {getattr(self, name)!r}")
        if self.key_file is not None and self.cert_file is None:
            raise ConfigError("key_file is the key of a certificate, and there is none", hint="give cert_file, too")
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable() and self.api_key):
            raise ConfigError("api_key must be printable ASCII characters", hint="look for a line break at its end")
