"""``inferox serve``: packages over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inferox.cli.options import debug_option, runtime_options, trust_code_option
from inferox.cli.serve_settings import config_option, name_variables

if TYPE_CHECKING:
    from inferox.server import ModelSource
    from inferox.server.api_key import ApiKey
    from inferox.server.log_format import LogFormat

_FILE = click.Path(path_type=Path)
_SECONDS = click.FloatRange(min=0, min_open=True)


@click.command(
    short_help="Serve packages over HTTP.",
    epilog="""\b
Examples:
  inferox serve minilm.mlpkg
  inferox serve fast=minilm.mlpkg reranker.mlpkg --port 9000 --workers 2
  INFEROX_SERVE_WORKERS=2 inferox serve --config inferox.toml
""",
)
@click.argument("packages", nargs=-1, metavar="[NAME=]PACKAGE…")
@config_option
@click.option("--repository", type=_FILE, metavar="FOLDER", help="Serve every package in a folder, too.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8000,
    show_default=True,
    help="The port to listen on; 0 for any that is free.",
)
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65_535),
    help="The port to listen on for gRPC; 0 for any that is free. Without it there is no gRPC.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many worker processes share the threads and the requests.",
)
@runtime_options
@click.option("--compile", "compile_model", is_flag=True, help="Compile the models just in time, where possible.")
@click.option(
    "--api-key-file",
    type=_FILE,
    help="A TOML file with the API keys that may ask: a table [keys.NAME] with sha256 for each.",
)
@click.option(
    "--api-key",
    "api_key",
    multiple=True,
    metavar="NAME=SHA256",
    help="An API key that may ask, by the digest that sha256sum makes of it. May be repeated.",
)
@click.option("--tls-cert", type=_FILE, help="Speak HTTPS with the certificate in this PEM file.")
@click.option("--tls-key", type=_FILE, help="The PEM file with the key of the certificate.")
@click.option("--body-limit", default="16MiB", show_default=True, metavar="SIZE", help="The largest body of a request.")
@click.option(
    "--held-limit",
    default="256MiB",
    show_default=True,
    metavar="SIZE",
    help="How much the bodies of all requests together may take that are not answered yet.",
)
@click.option(
    "--request-limit",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    help="How many requests may be unanswered at a time.",
)
@click.option(
    "--body-timeout",
    type=_SECONDS,
    default=30.0,
    show_default=True,
    help="How many seconds the body of a request may take to arrive.",
)
@click.option(
    "--keep-alive",
    type=_SECONDS,
    default=75.0,
    show_default=True,
    help="For how many seconds a connection is kept without a request: longer than a proxy in front keeps it.",
)
@click.option(
    "--timeout",
    type=_SECONDS,
    default=60.0,
    show_default=True,
    help="How many seconds a request may take before it is given up.",
)
@click.option(
    "--drain-delay",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    help="For how many seconds new connections are still taken after SIGTERM, while /health/ready says no.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How the log on standard error is written: lines for people, or a JSON object in each line.",
)
@click.option("--access-log", is_flag=True, help="Log a line for each request, without what it says.")
@trust_code_option
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
    log_format: LogFormat,
    access_log: bool,
    trust_code: bool,
) -> None:
    """Serve packages over HTTP, for the clients of OpenAI's API: POST /v1/embeddings, GET /v1/models.

    Models are computed by worker processes; one that ends is replaced. GET /health/live says whether the server lives,
    and /health/ready whether it can compute every model. SIGTERM and Ctrl+C end it once what it has taken is answered.

    Every option may also come from a file, by --config, and from the environment: --body-limit from
    INFEROX_SERVE_BODY_LIMIT, and packages from INFEROX_SERVE_PACKAGES.
    """
    from inferox.package import parse_size
    from inferox.server import ServerConfig
    from inferox.server import serve as serve_models
    from inferox.server.log_format import JsonFormatter, write_message

    config = ServerConfig(
        host=host,
        port=port,
        grpc_port=grpc_port,
        workers=workers,
        threads=threads,
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
        log_format=log_format,
        access_log=access_log,
    )
    options = {
        "backend": backend,
        "device": device,
        "precision": precision,
        "quality": quality,
        "compile": compile_model,
        "trust_code": trust_code,
    }
    found = {} if repository is None else _list_packages(repository)
    sources = _read_sources(packages, [*models.items(), *found.items()], options)
    if log_format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter())
    serve_models(config, sources, lambda line: click.echo(write_message(log_format, "info", line), err=True))


def _read_sources(
    packages: Sequence[str], named: Sequence[tuple[str, str]], options: Mapping[str, Any]
) -> list[ModelSource]:
    from inferox.core import ConfigError
    from inferox.server import ModelSource
    from inferox.server.config import MODEL_NAME

    if not (packages or named):
        raise click.UsageError("there is nothing to serve: name a package, or see --repository and --config")
    sources = [ModelSource(path, name, options) for name, path in named]
    for given in packages:
        name, is_named, path = given.partition("=")
        # A path may have the sign too: what stands before it there, as in ./a=b, is no name.
        if is_named and MODEL_NAME.fullmatch(name) and path:
            sources.append(ModelSource(path, name, options))
        else:
            sources.append(ModelSource(given, None, options))
    names = [source.name for source in sources if source.name is not None]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"two packages are to be called {twice[0]!r}", hint="give each another name: NAME=PACKAGE")
    return sources


def _list_packages(folder: Path) -> dict[str, str]:
    """The packages in a folder, by name: files that end in .mlpkg, and folders with metadata."""
    from inferox.core import ConfigError
    from inferox.package.manifest import METADATA_FILE

    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise ConfigError(f"the repository {folder} cannot be read: {error.strerror or error}") from error
    found = {path.name.removesuffix(".mlpkg"): str(path) for path in entries if _is_package(path, METADATA_FILE)}
    if not found:
        raise ConfigError(
            f"there are no packages in the repository {folder}", hint="pack into it: pack … -o FOLDER/NAME.mlpkg"
        )
    return found


def _is_package(path: Path, manifest: str) -> bool:
    return (path / manifest).is_file() if path.is_dir() else path.suffix == ".mlpkg"


def _read_keys(file: Path | None, digests: Sequence[str]) -> tuple[ApiKey, ...]:
    from inferox.server.api_key import read_key, read_key_file

    return (*([] if file is None else read_key_file(file)), *map(read_key, digests))


name_variables(serve)
