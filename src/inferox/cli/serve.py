"""``inferox serve``: packages over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from inferox.cli.options import debug_option, runtime_options, trust_code_option
from inferox.cli.terminal import say

if TYPE_CHECKING:
    from inferox.server import ModelSource


@click.command(
    short_help="Serve packages over HTTP.",
    epilog="""\b
Examples:
  inferox serve minilm.mlpkg
  inferox serve fast=minilm.mlpkg reranker.mlpkg --port 9000 --workers 2
""",
)
@click.argument("packages", nargs=-1, required=True, metavar="[NAME=]PACKAGE…")
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
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
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
@trust_code_option
@debug_option
def serve(
    packages: tuple[str, ...],
    *,
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
    timeout: float,
    drain_delay: float,
    trust_code: bool,
) -> None:
    """Serve packages over HTTP, for the clients of OpenAI's API: POST /v1/embeddings, GET /v1/models.

    Models are computed by worker processes; one that ends is replaced. GET /health/live says whether the server lives,
    and /health/ready whether it can compute every model. SIGTERM and Ctrl+C end it once what it has taken is answered.
    """
    from inferox.server import ServerConfig
    from inferox.server import serve as serve_models

    config = ServerConfig(
        host=host,
        port=port,
        grpc_port=grpc_port,
        workers=workers,
        threads=threads,
        timeout_s=timeout,
        drain_delay_s=drain_delay,
    )
    options = {
        "backend": backend,
        "device": device,
        "precision": precision,
        "quality": quality,
        "compile": compile_model,
        "trust_code": trust_code,
    }
    sources = _read_sources(packages, options)
    serve_models(config, sources, lambda line: say(f"inferox: {line}", err=True))


def _read_sources(packages: Sequence[str], options: Mapping[str, Any]) -> list[ModelSource]:
    from inferox.core import ConfigError
    from inferox.server import ModelSource
    from inferox.server.config import MODEL_NAME

    sources = []
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
