"""The settings of a server."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from inferox.core import ConfigError, counted
from inferox.core.seconds import LONGEST_S
from inferox.machine.server_address import parse_server_address
from inferox.server.api_key import ApiKey
from inferox.server.log_format import LOG_FORMATS, LogFormat

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._-]{0,127})?", re.ASCII)
"""The form of a model's name in requests: a name, or an owner and a name as on the Hugging Face hub."""

_LAST_PORT = 65_535

TokenIds = Literal["refuse", "accept"]
"""The policy for token ids in place of texts."""

TOKEN_IDS: tuple[TokenIds, ...] = get_args(TokenIds)


@dataclass(frozen=True)
class ModelSource:
    """A package to be served.

    Attributes:
        path: The package.
        name: The name by which requests address it; ``None`` for its own name.
        options: The other arguments of ``Engine.load``, by name.

    Raises:
        ConfigError: If ``name`` is not a valid name.
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
        host: The address to listen on.
        port: The port; 0 for a free one.
        grpc_port: The port for gRPC; 0 for a free one, ``None`` for no gRPC.
        workers: The number of worker processes that share the threads and the requests.
        threads: The number of CPU threads of all of them together; ``None`` for one per core.
        memory_limit_bytes: The memory limit of all models and their batches, in all worker processes together; ``None``
            for no limit.
        cache_bytes: The memory in which each worker process keeps answers of each model for equal items of the same API
            key; 0 for none.
        timeout_s: The time after which a request is given up.
        drain_delay_s: The time for which new connections are still accepted after ``SIGTERM``.
        body_limit_bytes: The largest body of a request.
        held_limit_bytes: The total size of the bodies of all unanswered requests, and of large answers that their
            clients have yet to read.
        request_limit: The number of requests that may be unanswered at a time.
        body_timeout_s: The time a body may take to arrive.
        keep_alive_s: The time for which an idle connection is kept: longer than proxies keep theirs, or they would send
            requests into a closed one.
        api_keys: The keys that requests may carry; if there are none, everyone may send requests.
        tls_cert: A PEM file with the certificate and its chain; ``None`` for HTTP without TLS.
        tls_key: A PEM file with the private key of the certificate.
        admin_host: The address to listen on for admin requests.
        admin_port: The port for them; 0 for a free one, ``None`` for no admin listener.
        admin_keys: The keys for admin requests; required unless ``admin_host`` is a loopback address.
        token_ids: The policy for token ids in place of texts: ``refuse``, as they often come from another tokenizer, or
            ``accept``.
        log_format: The format of the log: ``text`` for people, ``json`` for programs.
        access_log: Whether the log has a line for each request.
        otlp_endpoint: The URL of an OpenTelemetry trace receiver (OTLP over HTTP); ``None`` to send no traces.
        trace_share: The share of requests to trace, from 0 to 1, among those whose clients leave it open.

    Raises:
        ConfigError: If a value is out of range.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    grpc_port: int | None = None
    workers: int = 1
    threads: int | None = None
    memory_limit_bytes: int | None = None
    cache_bytes: int = 0
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
        if not (self.host and self.admin_host):  # the system would take every address
            raise ConfigError(
                "the address to listen on is empty",
                hint="127.0.0.1 can be reached from this machine only, and 0.0.0.0 from everywhere",
            )
        if self.admin_port is not None and not (self.admin_keys or is_loopback(self.admin_host)):
            raise ConfigError(
                f"anyone who can reach {self.admin_host} could load and unload models",
                hint="give the admin listener a key with --admin-key, or a loopback address",
            )

    def _check_traces(self) -> None:
        if not 0 <= self.trace_share <= 1:
            raise ConfigError(f"trace_share must be from 0 to 1, but is {self.trace_share!r}")
        if self.otlp_endpoint is None:
            if self.trace_share != 1:
                raise ConfigError("trace_share needs a trace receiver", hint="see --otlp-endpoint")
            return
        if "@" in self.otlp_endpoint.partition("://")[2].partition("/")[0]:
            raise ConfigError(
                "otlp_endpoint has a user's name or password, which the log would show",
                hint="give it in OTEL_EXPORTER_OTLP_HEADERS, such as authorization=Basic%20…",
            )
        try:
            parse_server_address(self.otlp_endpoint)  # the path for traces is appended to it
        except ConfigError as error:
            raise ConfigError(
                f"otlp_endpoint must be the URL of an OTLP receiver over HTTP, but is {self.otlp_endpoint!r}",
                hint="such as http://127.0.0.1:4318",
            ) from error

    def _check_numbers(self) -> None:
        for port in (self.port, self.grpc_port, self.admin_port):
            if port is not None and not 0 <= port <= _LAST_PORT:
                raise ConfigError(f"a port must be an integer from 0 to {_LAST_PORT}, but is {port!r}")
        for name in ("timeout_s", "body_timeout_s", "keep_alive_s"):
            if not 0 < getattr(self, name) <= LONGEST_S:
                raise ConfigError(
                    f"{name} must be a positive number of seconds, up to a year, but is {getattr(self, name)!r}"
                )
        if not 0 <= self.drain_delay_s <= LONGEST_S:
            raise ConfigError(f"drain_delay_s must be 0 seconds or more, up to a year, but is {self.drain_delay_s!r}")
        for name in ("memory_limit_bytes", "body_limit_bytes", "held_limit_bytes", "request_limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be a positive integer, but is {value!r}")
        if self.body_limit_bytes > self.held_limit_bytes:
            raise ConfigError(
                f"a body may have {counted(self.body_limit_bytes, 'byte')}, but all together only "
                f"{self.held_limit_bytes:,}, so the largest would never be admitted",
                hint="lower --body-limit, or raise --held-limit",
            )


def is_loopback(host: str) -> bool:
    """Returns True if an address can be reached only from this machine.

    Args:
        host: The address; names other than ``localhost`` count as reachable from elsewhere.
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_name(name: str) -> None:
    """Checks that a name is valid for a model in requests.

    Args:
        name: The name.

    Raises:
        ConfigError: If it is not.
    """
    if MODEL_NAME.fullmatch(name) is None:
        raise ConfigError(
            f"{name!r} is not a valid name for a model in requests",
            hint="use letters, digits, '.', '_' and '-', and at most one '/': NAME=PACKAGE gives a package a name",
        )
