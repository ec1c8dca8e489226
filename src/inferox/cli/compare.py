"""``inferox compare``: every artifact of a package, side by side on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inferox.cli.interrupts import interruptible
from inferox.cli.options import debug_option, json_option, trust_code_option
from inferox.cli.terminal import make_console, say

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from inferox.measuring.comparison import ArtifactMeasurement, Comparison, Plan, Progress, Spread


@click.command(
    short_help="Measure every artifact of a package side by side.",
    epilog="Example: inferox compare minilm.mlpkg --html report.html",
)
@click.argument("package")
@click.option("--backend", default="auto", show_default=True, help="The only backend to measure; auto for all.")
@click.option("--device", help="Where to run, such as cuda:0. By default each backend's own choice.")
@click.option("--threads", type=click.IntRange(min=1), help="How many CPU threads each runtime may use.")
@click.option("--quick", is_flag=True, help="Measure less, for a first impression.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How many seconds one step of an artifact may take. By default 300.",
)
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write a report with plots: one .html file that needs nothing else.",
)
@click.option("--force", is_flag=True, help="Replace the report if it exists.")
@trust_code_option
@json_option
@debug_option
def compare(
    package: str,
    *,
    backend: str,
    device: str | None,
    threads: int | None,
    quick: bool,
    timeout_s: float | None,
    html: Path | None,
    force: bool,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Measure every artifact of a package: loading, latency, throughput, memory, size and parity.

    Each artifact runs in a process of its own, with the same number of threads. They take turns, round by round, so
    that whatever else the machine does affects all of them alike. Ends with exit code 5 where none can be run.
    """
    from contextlib import nullcontext

    from inferox.cli.output_file import open_output, writing
    from inferox.measuring.comparison import FULL, QUICK
    from inferox.measuring.comparison import compare as measure

    plan = QUICK if quick else FULL
    if timeout_s is not None:
        plan = replace(plan, timeout_s=timeout_s)
    with open_output(html, suffixes=(".html",), force=force) if html is not None else nullcontext() as report:
        with _progress() as progress:
            found = measure(
                package, backend, device, threads=threads, trust_code=trust_code, plan=plan, progress=progress
            )
        if html is not None and report is not None:
            from inferox.report import render_report

            with writing(html):
                report.write_text(render_report(found), encoding="utf-8")
    if as_json:
        import json

        click.echo(json.dumps(found.to_json()))
    else:
        _print(found)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on standard error, where that is a terminal."""
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = make_console(stderr=True)
    columns = (
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("opening the package", total=None)
        yield interruptible(
            lambda done, total, text: bar.update(task, completed=done, total=total, description=escape(text))
        )


def _print(found: Comparison) -> None:
    from rich.text import Text

    from inferox.machine import threads_text

    console = make_console()
    machine = found.machine
    budget = threads_text(found.threads)
    console.print(Text(f"{found.name} ({found.task}), {budget} for each runtime"), style="bold")
    console.print(Text(f"{machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python}"))
    console.print(_facts_table(found))
    console.print()
    console.print(_times_table(found))
    notes = f"{_footnote(found.plan)} MB on disk in brackets are shared with other artifacts."
    length = found.artifacts[0].one_row.length
    console.print(Text(f"{notes} One row has {length} tokens." if length else notes), style="dim")
    for artifact, reason in found.not_run.items():
        say(f"not run: {artifact}: {reason}")


def _footnote(plan: Plan) -> str:
    rounds = f"medians of {plan.rounds} rounds, with their middle half below"
    if plan.starts == 1:
        return f"Load and first result: of a single start. The other times and rates: {rounds}."
    return f"Load and first result: medians of {plan.starts} starts, with their middle half below; the rest: {rounds}."


def _facts_table(found: Comparison) -> Table:
    """What each artifact is, with the number that stands for it in the other table."""
    from rich.text import Text

    from inferox.cli.tables import plain_table
    from inferox.report.quantities import bytes_text

    table = plain_table()
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("artifact", overflow="fold")
    table.add_column("parity", no_wrap=True)
    for heading in ("memory", "on disk"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, item in enumerate(found.artifacts, 1):
        shared = f"\n({bytes_text(item.shared_bytes)})" if item.shared_bytes else ""
        disk = Text.assemble(bytes_text(item.size_bytes), (shared, "dim"))
        memory = Text(bytes_text(item.peak_memory_bytes))
        table.add_row(f"({number})", Text(item.artifact), _parity(item), memory, disk)
    return table


def _times_table(found: Comparison) -> Table:
    from inferox.cli.tables import plain_table

    table = plain_table()
    for heading in ("", "load", "first result", "one row", "rows/s", "tokens/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, item in enumerate(found.artifacts, 1):
        table.add_row(f"({number})", *_cells(item))
    return table


def _cells(item: ArtifactMeasurement) -> list[Text]:
    from rich.text import Text

    from inferox.report.quantities import seconds_text, three_digits

    def spread(found: Spread, write: Callable[[float], str]) -> Text:
        low, high = write(found.low), write(found.high)
        # A unit that both have is written once.
        number, _, unit = low.partition(" ")
        between = f"{number if unit == high.partition(' ')[2] else low} – {high}"
        return Text.assemble(write(found.median), (f"\n{between}", "dim")) if found.range else Text(write(found.median))

    times = [spread(found, seconds_text) for found in (item.load_s, item.first_result_s, item.one_row.seconds)]
    rates = [
        Text("–") if found is None else spread(found, three_digits)
        for found in (item.throughput.rows_per_s, item.throughput.tokens_per_s)
    ]
    return [*times, *rates]


def _parity(item: ArtifactMeasurement) -> Text:
    from rich.text import Text

    if item.evidence is None:
        return Text("no samples", style="dim")
    agreement, name = item.evidence.agreement, item.evidence.parity_class.value
    batch = item.evidence.batch
    beside = "" if batch is None else "\nbatch invariant" if batch.holds else f"\nin batches {batch.max_rel:.1e}"
    figures = f"\nmax {agreement.max_abs:.1e}\ncos {agreement.cosine_min:.6f}{beside}"
    if item.evidence.weak is not None:
        figures += "\nweak evidence"
    return Text.assemble((name, "bold red" if name == "fail" else ""), (figures, "dim"))
