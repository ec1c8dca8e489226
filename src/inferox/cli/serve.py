"""``inferox serve``: serves packages over HTTP and gRPC."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inferox.cli.number_types import NOT_NEGATIVE, POSITIVE, SHARE
from inferox.cli.options import debug_option, runtime_options, signature_option, trust_code_option
from inferox.cli.serve_settings import config_option, name_variables
from inferox.cli.trial_options import read_offers, read_trials, trial_options

if TYPE_CHECKING:
    from inferox.server import ModelRepository, ModelSource
    from inferox.server.api_key import ApiKey
    from inferox.server.config import TokenIds
    from inferox.server.log_format import LogFormat

_FILE = click.Path(path_type=Path)


@click.command(
    short_help="Serve packages over HTTP and gRPC.",
    epilog="""\b
Examples:
  inferox serve minilm.mlpkg
  inferox serve fast=minilm.mlpkg reranker.mlpkg --port 9000 --workers 2
  INFEROX_SERVE_WORKERS=2 inferox serve --config inferox.toml
""",
)
@click.argument("packages", nargs=-1, metavar="[NAME=]PACKAGE…")
@config_option
@click.option("--repository", type=_FILE, metavar="FOLDER", help="Also serve every package in a folder.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8000,
    show_default=True,
    help="The port to listen on; 0 for any free one.",
)
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65_535),
    help="The port to listen on for gRPC; 0 for any free one. Without it, gRPC is off.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="The number of worker processes that share the threads and the requests.",
)
@runtime_options
@click.option(
    "--memory-limit",
    metavar="SIZE",
    help="The most memory of all models and their batches on CPUs, which the worker processes share evenly.",
)
@click.option(
    "--cache",
    metavar="SIZE",
    help="The memory in which each worker process keeps answers of each model, for equal items of the same API key. "
    "By default none are kept.",
)
@click.option("--compile", "compile_model", is_flag=True, help="Compile the models just in time, where possible.")
@click.option(
    "--api-key-file",
    type=_FILE,
    help="A TOML file with the accepted API keys: a table [keys.NAME] with sha256 for each.",
)
@click.option(
    "--api-key",
    "api_key",
    multiple=True,
    metavar="NAME=SHA256",
    help="An accepted API key, by its digest from sha256sum. May be repeated.",
)
@click.option("--tls-cert", type=_FILE, help="Serve HTTPS with the certificate in this PEM file.")
@click.option("--tls-key", type=_FILE, help="The PEM file with the private key of the certificate.")
@click.option("--body-limit", default="16MiB", show_default=True, metavar="SIZE", help="The largest body of a request.")
@click.option(
    "--held-limit",
    default="256MiB",
    show_default=True,
    metavar="SIZE",
    help="The largest total size of the bodies of unanswered requests, and of answers yet to be read.",
)
@click.option(
    "--request-limit",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    help="The most requests that may be unanswered at a time.",
)
@click.option(
    "--body-timeout",
    type=POSITIVE,
    default=30.0,
    show_default=True,
    help="The time for the body of a request to arrive, in seconds.",
)
@click.option(
    "--keep-alive",
    type=POSITIVE,
    default=75.0,
    show_default=True,
    help="The time to keep an idle connection, in seconds: longer than a proxy in front keeps it.",
)
@click.option(
    "--timeout",
    type=POSITIVE,
    default=60.0,
    show_default=True,
    help="The time after which a request is given up, in seconds.",
)
@click.option(
    "--drain-delay",
    type=NOT_NEGATIVE,
    default=5.0,
    show_default=True,
    help="The time for which new connections are still accepted after SIGTERM, while /health/ready answers 503.",
)
@click.option(
    "--admin-host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on for requests to load and unload models.",
)
@click.option(
    "--admin-port",
    type=click.IntRange(0, 65_535),
    help="The port for them; 0 for any free one. Without it, requests can neither load nor unload models.",
)
@click.option(
    "--admin-key",
    multiple=True,
    metavar="NAME=SHA256",
    help="A key that such requests must have, in the form of --api-key. May be repeated.",
)
@click.option(
    "--token-ids",
    type=click.Choice(["refuse", "accept"]),
    default="refuse",
    show_default=True,
    help="What to do with token ids in place of texts for /v1/embeddings: they often come from another tokenizer.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The format of the log on standard error: lines for people, or one JSON object per line.",
)
@click.option("--access-log", is_flag=True, help="Log a line for each request, without its content.")
@click.option(
    "--otlp-endpoint",
    metavar="URL",
    help="Send traces of requests to this OTLP receiver over HTTP, such as http://127.0.0.1:4318.",
)
@click.option(
    "--trace-share",
    type=SHARE,
    default=1.0,
    show_default=True,
    help="The share of requests to trace, among those whose clients leave it open.",
)
@trial_options
@trust_code_option
@signature_option
@debug_option
def serve(
    packages: tuple[str, ...],
    *,
    models: Mapping[str, str],
    repository: Path | None,
    host: str,
    port: int,
    grpc_port: int | None,
    workers: int,
    backend: str,
    device: str | None,
    precision: str | None,
    quality: str | None,
    threads: int | None,
    memory_limit: str | None,
    cache: str | None,
    compile_model: bool,
    api_key_file: Path | None,
    api_key: tuple[str, ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    body_limit: str,
    held_limit: str,
    request_limit: int,
    body_timeout: float,
    keep_alive: float,
    timeout: float,
    drain_delay: float,
    admin_host: str,
    admin_port: int | None,
    admin_key: tuple[str, ...],
    token_ids: TokenIds,
    log_format: LogFormat,
    access_log: bool,
    otlp_endpoint: str | None,
    trace_share: float,
    shadow: str | None,
    canary: str | None,
    canary_drift: float | None,
    canary_errors: float | None,
    canary_any_space: bool,
    offer_artifacts: str | None,
    trust_code: bool,
    require_signature: Path | None,
) -> None:
    """Serve packages over HTTP and gRPC, for existing clients.

    It answers the APIs of OpenAI, Cohere and text-embeddings-inference, reranks and scores like Jina, vLLM and
    infinity, and speaks the Open Inference Protocol of Triton and KServe, over REST and gRPC. /docs lists every route,
    / is a page for people, and /metrics is for Prometheus.

    Worker processes compute the models; one that ends is replaced. GET /health/live says whether the server is live,
    and /health/ready whether it can compute every model. SIGTERM and Ctrl+C end it once accepted requests are answered.

    Every option may also come from a file, with --config, and from the environment: --body-limit from
    INFEROX_SERVE_BODY_LIMIT, and packages from INFEROX_SERVE_PACKAGES.
    """
    from inferox.core import ConfigError
    from inferox.package import parse_size

    try:
        from inferox.server import ModelRepository, ServerConfig
        from inferox.server import serve as serve_models
        from inferox.server.log_format import JsonFormatter, write_message
    except ModuleNotFoundError as error:
        raise ConfigError(f"serving needs {error.name}", hint="pip install 'inferox[serve]'") from error
    if log_format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter())
    with _fatal_errors_in(log_format):
        config = ServerConfig(
            host=host,
            port=port,
            grpc_port=grpc_port,
            workers=workers,
            threads=threads,
            memory_limit_bytes=None if memory_limit is None else parse_size(memory_limit, "--memory-limit"),
            cache_bytes=0 if cache is None else parse_size(cache, "--cache"),
            timeout_s=timeout,
            drain_delay_s=drain_delay,
            body_limit_bytes=parse_size(body_limit, "--body-limit"),
            held_limit_bytes=parse_size(held_limit, "--held-limit"),
            request_limit=request_limit,
            body_timeout_s=body_timeout,
            keep_alive_s=keep_alive,
            api_keys=_read_keys(api_key_file, api_key),
            tls_cert=tls_cert,
            tls_key=tls_key,
            admin_host=admin_host,
            admin_port=admin_port,
            admin_keys=_read_keys(None, admin_key),
            token_ids=token_ids,
            log_format=log_format,
            access_log=access_log,
            otlp_endpoint=otlp_endpoint,
            trace_share=trace_share,
        )
        options = {
            "backend": backend,
            "device": device,
            "precision": precision,
            "quality": quality,
            "compile": compile_model,
            "trust_code": trust_code,
            "require_signature": require_signature,
            "offers": read_offers(offer_artifacts),
            **read_trials(shadow, canary, canary_drift, canary_errors, any_space=canary_any_space),
        }
        packages_known = ModelRepository(_read_sources(packages, models, options), repository, options)
        _check_sources(packages_known)
        serve_models(config, packages_known, lambda line: click.echo(write_message(log_format, "info", line), err=True))


@contextmanager
def _fatal_errors_in(log_format: LogFormat) -> Iterator[None]:
    """Logs the error that ends the block in JSON, if that is the format; in text, the command line shows it."""
    from inferox.cli.exit_codes import exit_code_of
    from inferox.core import InferoxError

    try:
        yield
    except InferoxError as error:
        if log_format == "text":
            raise
        logger = logging.getLogger("inferox")
        logger.critical("%s", error, exc_info=logger.isEnabledFor(logging.DEBUG))
        sys.exit(exit_code_of(error))


def _read_sources(packages: Sequence[str], named: Mapping[str, str], options: Mapping[str, Any]) -> list[ModelSource]:
    from inferox.server import ModelSource
    from inferox.server.config import MODEL_NAME

    sources = [ModelSource(path, name, options) for name, path in named.items()]
    for given in packages:
        name, is_named, path = given.partition("=")
        # A path may contain the sign too: what precedes it then, as in ./a=b, is not a name.
        if is_named and MODEL_NAME.fullmatch(name) and path:
            sources.append(ModelSource(path, name, options))
        else:
            sources.append(ModelSource(given, None, options))
    return sources


def _check_sources(repository: ModelRepository) -> None:
    from inferox.core import ConfigError

    if not (repository.named or repository.folder):
        raise click.UsageError("there is nothing to serve: name a package, or see --repository and --config")
    found = repository.list_folder()
    if repository.folder is not None and not (found or repository.named):
        raise ConfigError(
            f"there are no packages in the repository {repository.folder}",
            hint="pack a model into it: inferox pack … -o FOLDER/NAME.mlpkg",
        )
    names = [source.name for source in (*repository.named, *found) if source.name is not None]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(
            f"two packages have the name {twice[0]!r}", hint="give one of them another name: NAME=PACKAGE"
        )


def _read_keys(file: Path | None, digests: Sequence[str]) -> tuple[ApiKey, ...]:
    from inferox.server.api_key import read_key, read_key_file

    return (*([] if file is None else read_key_file(file)), *map(read_key, digests))


name_variables(serve)
