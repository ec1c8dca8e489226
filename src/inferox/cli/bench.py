"""``inferox bench``: a package in an engine, under load."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inferox.cli.interrupts import interruptible
from inferox.cli.options import debug_option, json_option, runtime_options, trust_code_option
from inferox.cli.terminal import make_console

if TYPE_CHECKING:
    from inferox.bench import LoadReport

_CALLERS = "1,4,16,64,256"


@click.command(
    short_help="Measure a package under load.",
    epilog="Example: inferox bench minilm.mlpkg --callers 1,64 --seconds 20 --plot load.html",
)
@click.argument("package")
@runtime_options
@click.option(
    "--callers",
    metavar="NUMBER,…",
    default=_CALLERS,
    show_default=True,
    help="How many callers ask at a time, each as soon as it has its answer; none for no such measurement.",
)
@click.option(
    "--rates",
    metavar="NUMBER,…",
    help="How many requests come in a second, answered or not. By default 50, 80 and 95% of what the callers reached.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="How long to measure, in equal parts for all loads.",
)
@click.option(
    "--plot",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write plots: one .html file that needs nothing else.",
)
@click.option("--force", is_flag=True, help="Replace the file of the plots if it exists.")
@trust_code_option
@json_option
@debug_option
def bench(
    package: str,
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
    trust_code: bool,
    as_json: bool,
) -> None:
    """Measure a package in an engine under load: how much it answers, and how long that takes.

    Requests of one item each, of mixed lengths, come from callers that wait for their answers (a closed loop), and then
    at random times at given rates, whether those before are answered or not (an open loop). Everything runs in this
    process, without a network.
    """
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from inferox.bench import bench as measure
    from inferox.cli.output_file import open_output, writing

    counts = [] if callers == "none" else [int(number) for number in _read_numbers(callers, "--callers", whole=True)]
    rates_per_s = None if rates is None else _read_numbers(rates, "--rates")
    console = make_console(stderr=True)
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with open_output(plot, suffixes=(".html",), force=force) if plot is not None else nullcontext() as page:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            step = bar.add_task("loading", total=None)
            found = measure(
                package,
                backend,
                device,
                precision,
                quality=quality,
                threads=threads,
                trust_code=trust_code,
                callers=counts,
                rates_per_s=rates_per_s,
                seconds=seconds,
                progress=interruptible(
                    lambda what, done, total: bar.update(step, description=escape(what), completed=done, total=total)
                ),
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


def _read_numbers(text: str, option: str, *, whole: bool = False) -> list[float]:
    """The positive numbers of a list with commas."""
    from inferox.core import ConfigError

    try:
        numbers = [float(int(part) if whole else float(part)) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(0 < number < float("inf") for number in numbers):
        raise ConfigError(
            f"{option} must be positive {'integers' if whole else 'numbers'} with commas in between, but is {text!r}"
        )
    return numbers


def _print(found: LoadReport) -> None:
    from rich.text import Text

    from inferox.bench.results import PERCENTILES
    from inferox.cli.tables import plain_table
    from inferox.core import printable
    from inferox.machine import threads_text
    from inferox.report.load_page import load_text
    from inferox.report.quantities import seconds_text, three_digits

    console, machine = make_console(), found.machine
    budget = threads_text(found.threads)
    console.print(Text(printable(f"{found.name} ({found.task}), {found.artifact}, {budget}")), style="bold")
    console.print(Text(f"{machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python}"))
    table = plain_table()
    table.add_column("load", no_wrap=True)
    headings = ("answers/s", *(f"p{number}" for number in PERCENTILES), "rows", "padding", "failed")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for step in found.steps:
        times = [step.latency_s.get(name) for name in map(str, PERCENTILES)]
        table.add_row(
            load_text(step),
            three_digits(step.answered_per_s),
            *("–" if seconds is None else seconds_text(seconds) for seconds in times),
            three_digits(step.batch_rows),
            f"{step.padding:.1%}",
            str(sum(step.failed.values()) or ""),
        )
    console.print(table)
    console.print(Text("rows, padding: of a batch, on average", style="dim"))
    for step in found.steps:
        for name, count in step.failed.items():
            console.print(Text(f"{load_text(step)}: {count} × {name}", style="dim"))
