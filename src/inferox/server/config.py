"""The settings of a server."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from inferox.core import ConfigError
from inferox.machine.server_address import parse_server_address
from inferox.server.api_key import ApiKey
from inferox.server.log_format import LOG_FORMATS, LogFormat

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._-]{0,127})?", re.ASCII)
"""What a model may be called in requests: a name, or an owner and a name as on the Hugging Face hub."""

_LAST_PORT = 65_535

TokenIds = Literal["refuse", "accept"]
"""What is done about token ids in place of texts."""

TOKEN_IDS: tuple[TokenIds, ...] = get_args(TokenIds)


@dataclass(frozen=True)
class ModelSource:
    """A package that is to be served.

    Attributes:
        path: The package.
        name: What requests call it; ``None`` for its own name.
        options: The other arguments of ``Engine.load``, by name.

    Raises:
        ConfigError: If it cannot be called that.
    """

    path: str
    name: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name is not None:
            check_name(self.name)


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """The settings of a server.

    Attributes:
        host: The address on which it listens.
        port: The port; 0 for one that is free.
        grpc_port: The port for gRPC; 0 for one that is free, ``None`` for none.
        workers: How many worker processes share the threads and the requests.
        threads: How many CPU threads all of them together may use; ``None`` for one per core.
        timeout_s: How long a request may take before it is given up.
        drain_delay_s: How long it still takes new connections after it was told to end by ``SIGTERM``.
        body_limit_bytes: The largest body of a request.
        held_limit_bytes: How much the bodies of all requests together may take that are not answered yet.
        request_limit: How many requests may be unanswered at a time.
        body_timeout_s: How long a body may take to arrive.
        keep_alive_s: How long a connection is kept without a request: longer than proxies keep theirs, or they would
            send into one that is closed.
        api_keys: Who may ask; whoever reaches it where there are none.
        tls_cert: A file with the certificate, and those that lead to its authority; ``None`` to speak HTTP without TLS.
        tls_key: A file with the key of the certificate.
        admin_host: The address on which the operator's requests are taken.
        admin_port: The port for them; 0 for one that is free, ``None`` to take none.
        admin_keys: Who may send them; whoever reaches it where there are none, which must be on this machine.
        token_ids: What is done about token ids in place of texts: ``refuse``, as they are often those of another
            tokenizer, or ``accept``.
        log_format: How the log is written: ``text`` for people, ``json`` for programs.
        access_log: Whether the log has a line for each request.
        otlp_endpoint: The URL of a receiver of OpenTelemetry's traces, by OTLP over HTTP; ``None`` to send none.
        trace_share: The share of requests that are traced of those whose clients do not say whether they are to be.

    Raises:
        ConfigError: If a value is out of range.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    grpc_port: int | None = None
    workers: int = 1
    threads: int | None = None
    timeout_s: float = 60.0
    drain_delay_s: float = 5.0
    body_limit_bytes: int = 16 * 2**20
    held_limit_bytes: int = 256 * 2**20
    request_limit: int = 1024
    body_timeout_s: float = 30.0
    keep_alive_s: float = 75.0
    api_keys: tuple[ApiKey, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    admin_host: str = "127.0.0.1"
    admin_port: int | None = None
    admin_keys: tuple[ApiKey, ...] = ()
    token_ids: TokenIds = "refuse"  # noqa: S105 - no secret
    log_format: LogFormat = "text"
    access_log: bool = False
    otlp_endpoint: str | None = None
    trace_share: float = 1.0

    def __post_init__(self) -> None:
        self._check_numbers()
        if self.log_format not in LOG_FORMATS:
            raise ConfigError(f"log_format must be one of {', '.join(LOG_FORMATS)}, but is {self.log_format!r}")
        if self.token_ids not in TOKEN_IDS:
            raise ConfigError(f"token_ids must be one of {', '.join(TOKEN_IDS)}, but is {self.token_ids!r}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError("TLS needs both a certificate and its key", hint="see --tls-cert and --tls-key")
        self._check_traces()
        if self.admin_port is not None and not (self.admin_keys or is_loopback(self.admin_host)):
            raise ConfigError(
                f"whoever reaches {self.admin_host} could load and unload models",
                hint="give the admin listener a key with --admin-key, or an address of this machine alone",
            )

    def _check_traces(self) -> None:
        if not 0 <= self.trace_share <= 1:
            raise ConfigError(f"trace_share must be a share from 0 to 1, but is {self.trace_share!r}")
        if self.otlp_endpoint is None:
            if self.trace_share != 1:
                raise ConfigError("trace_share needs a receiver of traces", hint="see --otlp-endpoint")
            return
        if "@" in self.otlp_endpoint.partition("://")[2].partition("/")[0]:
            raise ConfigError(
                "otlp_endpoint has a user's name or password, which the log would show",
                hint="give it in OTEL_EXPORTER_OTLP_HEADERS, such as authorization=Basic%20…",
            )
        try:
            parse_server_address(self.otlp_endpoint)  # the path for traces is added at its end
        except ConfigError as error:
            raise ConfigError(
                f"otlp_endpoint must be the URL of a receiver of OTLP over HTTP, but is {self.otlp_endpoint!r}",
                hint="such as http://127.0.0.1:4318",
            ) from error

    def _check_numbers(self) -> None:
        for port in (self.port, self.grpc_port, self.admin_port):
            if port is not None and not 0 <= port <= _LAST_PORT:
                raise ConfigError(f"a port is a number from 0 to {_LAST_PORT}, but is {port!r}")
        for name in ("timeout_s", "body_timeout_s", "keep_alive_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be a positive number of seconds, but is {getattr(self, name)!r}")
        if not 0 <= self.drain_delay_s < math.inf:
            raise ConfigError(f"drain_delay_s must be a number of seconds of 0 or more, but is {self.drain_delay_s!r}")
        for name in ("body_limit_bytes", "held_limit_bytes", "request_limit"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be a positive integer, but is {getattr(self, name)!r}")


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone.

    Args:
        host: The address; names other than ``localhost`` count as reachable from elsewhere.
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_name(name: str) -> None:
    """Refuses what cannot be the name of a model in a request.

    Args:
        name: The name.

    Raises:
        ConfigError: If it cannot.
    """
    if MODEL_NAME.fullmatch(name) is None:
        raise ConfigError(
            f"a model cannot be called {name!r} in requests",
            hint="use letters, digits, '.', '_' and '-', and at most one '/': NAME=PACKAGE gives a package a name",
        )
