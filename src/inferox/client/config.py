"""The settings of a client."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from inferox.client.deadline import check_seconds
from inferox.core import ConfigError, InferoxError, RequestError

_MOST_ROWS = 2048
"""What the server takes in one request."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


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
        ConfigError: If a value is of another type or out of range.
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
        check_seconds("timeout_s", self.timeout_s)
        self._check_integers()
        if self.model is not None:
            check_model_name(self.model, ConfigError)
        for name in ("ca_file", "cert_file", "key_file"):
            file = getattr(self, name)
            if file is not None and not (isinstance(file, str | Path) and str(file)):
                raise ConfigError(f"{name} must be the path of a file, but is {file!r}")
        if self.key_file is not None and self.cert_file is None:
            raise ConfigError("key_file is the key of a certificate, and there is none", hint="give cert_file, too")
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
                raise ConfigError(f"{name} must be texts by name, but is {value!r}")
            for key, text in value.items():
                if not (isinstance(key, str) and isinstance(text, str) and key and text):
                    raise ConfigError(f"{name} must be texts by name, but has {key!r}: {text!r}")
        for key, text in self.headers.items():
            if _HEADER_NAME.fullmatch(key) is None or not _is_header_value(text):
                raise ConfigError(
                    f"headers has {key!r}, whose name or value HTTP cannot send",
                    hint="names are letters, digits and dashes, values printable ASCII characters",
                )


def read_options(options: Mapping[str, Any]) -> ClientConfig:
    """The settings that a caller gives by their names.

    Args:
        options: The fields of ``ClientConfig``.

    Raises:
        ConfigError: If there is no such field, or a value is out of range.
    """
    names = [item.name for item in fields(ClientConfig)]
    if unknown := [name for name in options if name not in names]:
        raise ConfigError(f"a client has no option {unknown[0]!r}; it has {', '.join(names)}")
    return ClientConfig(**options)


def check_model_name(name: object, error_type: type[InferoxError] = RequestError) -> None:
    """Refuses what cannot be the name of a model.

    Args:
        name: What a caller gives.
        error_type: The type of the error.

    Raises:
        InferoxError: Of the type asked for, if it is not a text that can be part of an address.
    """
    if not isinstance(name, str) or not name or not name.isprintable():
        raise error_type(f"model must be the name of a model, but is {name!r}", hint="None is for the only model")


def _is_header_value(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isascii() and value.isprintable()
