"""The settings of a client."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from inferox.core import ConfigError, InferoxError, RequestError
from inferox.core.seconds import positive_seconds

_MOST_ROWS = 2048
"""The most rows that the server takes in one request."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, kw_only=True)
class ClientConfig:
    """The settings of a client.

    Attributes:
        model: The model of calls that do not name one; ``None`` for the only model of the server that fits the call.
        api_key: The key to send as ``authorization: Bearer``; ``None`` for none.
        timeout_s: The time limit of a request including retries, in seconds.
        retries: The number of times that a request is retried if it is temporarily refused (429, 502, 503) or its
            connection fails. Requests only compute, so that they are safe to repeat.
        concurrency: The number of requests, and thus of connections, at a time.
        request_rows: The most rows of a request, up to the server's 2,048; more are split.
        request_bytes: The most bytes of texts or images of a request, unless a single one is larger.
        ca_file: A PEM file with the certificate authorities to trust; ``None`` for the system's.
        cert_file: A PEM file with the client's certificate; ``None`` for none.
        key_file: The PEM file with its private key; ``None`` if ``cert_file`` holds it.
        embedding_spaces: The id of the embedding space in which a model's vectors must lie, by the name of the model.
            For other models, the first answer decides.
        headers: Further headers of every request.

    Raises:
        ConfigError: If a value has the wrong type or is out of range.
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
        object.__setattr__(self, "timeout_s", positive_seconds("timeout_s", self.timeout_s))
        self._check_integers()
        if self.model is not None:
            check_model_name(self.model, ConfigError)
        for name in ("ca_file", "cert_file", "key_file"):
            file = getattr(self, name)
            if file is not None and not (isinstance(file, str | Path) and str(file)):
                raise ConfigError(f"{name} must be the path of a file, but is {file!r}")
        if self.key_file is not None and self.cert_file is None:
            raise ConfigError("key_file needs a certificate, but there is none", hint="give cert_file, too")
        if self.api_key is not None and not _is_header_value(self.api_key):
            raise ConfigError("api_key must be printable ASCII characters", hint="look for a line break at its end")
        self._check_texts()

    def _check_integers(self) -> None:
        limits = {
            "retries": (0, None, "0 or more"),
            "request_rows": (1, _MOST_ROWS, f"from 1 to {_MOST_ROWS:,}"),
            "concurrency": (1, None, "a positive integer"),
            "request_bytes": (1, None, "a positive integer"),
        }
        for name, (least, most, expected) in limits.items():
            value = getattr(self, name)
            if type(value) is not int or value < least or (most is not None and value > most):
                raise ConfigError(f"{name} must be {expected}, but is {value!r}")

    def _check_texts(self) -> None:
        for name in ("embedding_spaces", "headers"):
            value = getattr(self, name)
            if not isinstance(value, Mapping):
                raise ConfigError(f"{name} must map names to strings, but is {value!r}")
            for key, text in value.items():
                if not (isinstance(key, str) and isinstance(text, str) and key and text):
                    raise ConfigError(f"{name} must map names to strings, but has {key!r}: {text!r}")
        for key, text in self.headers.items():
            if _HEADER_NAME.fullmatch(key) is None or not _is_header_value(text):
                raise ConfigError(
                    f"headers has {key!r}, whose name or value is not valid in HTTP",
                    hint="names are letters, digits and dashes, values printable ASCII characters",
                )


def read_options(options: Mapping[str, Any]) -> ClientConfig:
    """Makes the settings from keyword options.

    Args:
        options: The fields of ``ClientConfig``.

    Raises:
        ConfigError: If there is no such field, or a value is out of range.
    """
    names = [item.name for item in fields(ClientConfig)]
    if unknown := [name for name in options if name not in names]:
        raise ConfigError(f"a client has no option {unknown[0]!r}; it has {', '.join(names)}")
    return ClientConfig(**options)


_AWAY = frozenset({"", ".", ".."})
"""Parts of paths that lead to other paths, or nowhere."""


def check_model_name(name: object, error_type: type[InferoxError] = RequestError) -> None:
    """Checks that a name can be the name of a model.

    Args:
        name: The name.
        error_type: The type of the error.

    Raises:
        InferoxError: Of the given type, if the name is not a non-empty printable string, or would lead elsewhere as a
            part of a path.
    """
    # URLs are shortened before they are sent: /v2/models/a/../b is /v2/models/b.
    if not isinstance(name, str) or not name.isprintable() or not _AWAY.isdisjoint(name.split("/")):
        raise error_type(f"model must be the name of a model, but is {name!r}", hint="None means the only model")


def _is_header_value(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isascii() and value.isprintable()
