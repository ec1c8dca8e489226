"""``inferox bench``: measures a package in an engine, or a server, under load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from inferox.cli.interrupts import interruptible
from inferox.cli.number_types import POSITIVE
from inferox.cli.options import debug_option, json_option, runtime_options, trust_code_option
from inferox.cli.progress import showing_progress
from inferox.cli.terminal import make_console

if TYPE_CHECKING:
    from inferox.bench import LoadReport

_CALLERS = "1,4,16,64,256"

_PACKAGE_OPTIONS = ("backend", "device", "precision", "quality", "threads", "trust_code")
_SERVER_OPTIONS = ("api", "model", "api_key", "rows")


@click.command(
    short_help="Measure a package or a server under load.",
    epilog="""\b
Examples:
  inferox bench minilm.mlpkg --callers 1,64 --seconds 20 --plot load.html
  inferox bench http://127.0.0.1:8000 --callers 1,64
  inferox bench http://127.0.0.1:8080 --api tei --rates 50,100
""",
)
@click.argument("target", metavar="PACKAGE|URL")
@runtime_options
@click.option(
    "--callers",
    metavar="NUMBER,…",
    default=_CALLERS,
    show_default=True,
    help="The numbers of concurrent callers, each sending its next request once it has its answer; none to skip this.",
)
@click.option(
    "--rates",
    metavar="NUMBER,…",
    help="The rates of requests per second, answered or not. By default 50, 80 and 95% of what the callers reached.",
)
@click.option(
    "--seconds",
    type=POSITIVE,
    default=60.0,
    show_default=True,
    help="How long to measure, in seconds, divided equally among all loads.",
)
@click.option(
    "--plot",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write plots: one self-contained .html file.",
)
@click.option("--force", is_flag=True, help="Replace the file with the plots if it exists.")
@click.option(
    "--api",
    type=click.Choice(["openai", "tei"]),
    default="openai",
    show_default=True,
    help="The protocol of a server: OpenAI's /v1/embeddings, or text-embeddings-inference's /embed.",
)
@click.option("--model", help="The name of the model on a server. By default the only one that it lists.")
@click.option(
    "--api-key",
    envvar="INFEROX_API_KEY",
    show_envvar=True,
    help="The API key for the server, best not typed here.",
)
@click.option(
    "--rows", type=click.IntRange(min=1), default=1, show_default=True, help="The texts per request to a server."
)
@trust_code_option
@json_option
@debug_option
def bench(
    target: str,
    *,
    backend: str,
    device: str | None,
    precision: str | None,
    quality: str | None,
    threads: int | None,
    callers: str,
    rates: str | None,
    seconds: float,
    plot: Path | None,
    force: bool,
    api: str,
    model: str | None,
    api_key: str | None,
    rows: int,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Measure a package or a server under load: its throughput and its latency.

    Requests of mixed lengths come from callers that wait for their answers (a closed loop), and then at random times at
    given rates, whether those before are answered or not (an open loop); there, latency counts from when a request was
    due. A package runs in an engine of this process, without a network. A server may be any that speaks one of the
    protocols; the CPU time of the client is reported separately. If Ctrl-C stops it, the measurements so far are shown.
    """
    from inferox.bench import bench as measure
    from inferox.cli.output_file import open_output, writing
    from inferox.core import UnreachableError
    from inferox.machine.server_address import is_server_address
    from inferox.measuring.time_budget import Ending

    counts = [] if callers == "none" else [int(number) for number in _read_numbers(callers, "--callers", whole=True)]
    rates_per_s = None if rates is None else _read_numbers(rates, "--rates")
    with open_output(plot, suffixes=(".html",), force=force) if plot is not None else nullcontext() as page:
        with showing_progress("loading") as show:
            loads: dict[str, Any] = {
                "callers": counts,
                "rates_per_s": rates_per_s,
                "seconds": seconds,
                "progress": interruptible(show),
            }
            if is_server_address(target):
                _refuse_options("a server", _PACKAGE_OPTIONS)
                found = _import_bench_server()(target, api=api, model=model, api_key=api_key, rows=rows, **loads)
            else:
                _refuse_options("a package", _SERVER_OPTIONS)
                found = measure(
                    target,
                    backend,
                    device,
                    precision,
                    quality=quality,
                    threads=threads,
                    trust_code=trust_code,
                    **loads,
                )
        if plot is not None and page is not None:
            from inferox.report import render_load_report

            with writing(plot):
                page.write_text(render_load_report(found), encoding="utf-8")
    if as_json:
        import json

        click.echo(json.dumps(found.to_json()))
    else:
        _print(found)
    if found.fault is not None:
        raise UnreachableError(found.fault)
    if found.ending is Ending.INTERRUPTED:
        raise KeyboardInterrupt


def _refuse_options(what: str, names: Sequence[str]) -> None:
    """Refuses options that do not apply to the target."""
    context = click.get_current_context()
    given = [name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        raise click.UsageError(f"--{given[0].replace('_', '-')} does not apply to {what}")


def _import_bench_server() -> Callable[..., LoadReport]:
    from inferox.core import ConfigError

    try:
        from inferox.bench.serving import bench_server
    except ModuleNotFoundError as error:
        raise ConfigError(f"measuring a server needs {error.name}", hint="pip install 'inferox[bench]'") from error
    return bench_server


def _read_numbers(text: str, option: str, *, whole: bool = False) -> list[float]:
    """Parses a comma-separated list of positive numbers."""
    from inferox.core import ConfigError

    try:
        numbers = [float(int(part) if whole else float(part)) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(0 < number < float("inf") for number in numbers):
        raise ConfigError(
            f"{option} must be positive {'integers' if whole else 'numbers'} separated by commas, but is {text!r}"
        )
    return numbers


def _print(found: LoadReport) -> None:
    from rich.text import Text

    from inferox.bench.results import PERCENTILES
    from inferox.cli.tables import plain_table
    from inferox.core import counted, printable
    from inferox.machine import threads_text
    from inferox.report.load_page import load_text
    from inferox.report.quantities import seconds_text, three_digits

    console, machine = make_console(), found.machine
    facts = [found.artifact, None if found.threads is None else threads_text(found.threads)]
    if found.url is not None:
        facts += [
            f"{found.url} by {found.api}",
            f"{counted(found.rows, 'text')} per request" if found.rows > 1 else None,
        ]
    console.print(Text(printable(", ".join([f"{found.name} ({found.task})", *filter(None, facts)]))), style="bold")
    console.print(
        Text(f"{machine.processor}, {counted(machine.cores, 'core')}, {machine.system}, Python {machine.python}")
    )
    is_server = found.url is not None
    table = plain_table()
    table.add_column("load", no_wrap=True)
    more = ("own CPU",) if is_server else ("rows", "padding")
    for heading in ("answers/s", *(f"p{number}" for number in PERCENTILES), *more, "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for step in found.steps:
        times = [step.latency_s.get(name) for name in map(str, PERCENTILES)]
        table.add_row(
            load_text(step),
            three_digits(step.answered_per_s),
            *("–" if seconds is None else seconds_text(seconds) for seconds in times),
            *(() if step.batch_rows is None else (three_digits(step.batch_rows),)),
            *(() if step.padding is None else (f"{step.padding:.1%}",)),
            *(() if step.client_cpu_s is None else (seconds_text(step.client_cpu_s),)),
            str(sum(step.failed.values()) or ""),
        )
    console.print(table)
    note = "own CPU: CPU time of the client per request" if is_server else "rows, padding: of a batch, on average"
    console.print(Text(note, style="dim"))
    for step in found.steps:
        for name, count in step.failed.items():
            console.print(Text(printable(f"{load_text(step)}: {count} × {name}"), style="dim"))
