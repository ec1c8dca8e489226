"""``inferox compare``: measures every artifact of a package, side by side on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inferox.cli.evidence_json import shorten_evidence
from inferox.cli.interrupts import interruptible
from inferox.cli.left_out import say_left_out
from inferox.cli.number_types import POSITIVE
from inferox.cli.options import debug_option, json_option, rows_option, seconds_option, trust_code_option
from inferox.cli.progress import showing_progress
from inferox.cli.terminal import make_console, say
from inferox.cli.time_limit import time_limit

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from inferox.measuring.comparison import ArtifactMeasurement, Comparison, Spread


@click.command(
    short_help="Measure every artifact of a package side by side.",
    epilog="Example: inferox compare minilm.mlpkg --html report.html",
)
@click.argument("package")
@click.option("--backend", default="auto", show_default=True, help="The only backend to measure; auto for all.")
@click.option("--device", help="Where to run, such as cuda:0. By default each backend's own choice.")
@click.option("--threads", type=click.IntRange(min=1), help="The number of CPU threads of each runtime.")
@seconds_option
@click.option(
    "--timeout",
    "timeout_s",
    type=POSITIVE,
    metavar="SECONDS",
    help="The most seconds that one step of an artifact may take. By default 300.",
)
@click.option(
    "--price-per-hour",
    type=POSITIVE,
    metavar="PRICE",
    help="The price of an hour of this machine, in any currency, to report the cost of a million rows.",
)
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write a report with plots: one self-contained .html file.",
)
@click.option("--force", is_flag=True, help="Replace the report if it exists.")
@trust_code_option
@json_option
@rows_option
@debug_option
def compare(
    package: str,
    *,
    backend: str,
    device: str | None,
    threads: int | None,
    seconds: float,
    timeout_s: float | None,
    price_per_hour: float | None,
    html: Path | None,
    force: bool,
    trust_code: bool,
    as_json: bool,
    with_rows: bool,
) -> None:
    """Measure every artifact of a package: loading, latency, throughput, memory, size and parity.

    Each artifact runs in a process of its own, with the same number of threads. They take turns, round by round, so
    that other load on the machine affects all of them alike. The first round measures every artifact once, and more
    rounds follow as time allows. If sentence-transformers is installed, it takes its turns with the same model and
    texts, unless --backend names a runtime. When the time is over, or Ctrl-C stops it, the measurements so far are
    shown. Ends with exit code 5 if no artifact can be run.
    """
    from contextlib import nullcontext

    from inferox.cli.output_file import open_output, writing
    from inferox.measuring import Ending
    from inferox.measuring.comparison import FULL, PEER
    from inferox.measuring.comparison import compare as measure

    plan = FULL if timeout_s is None else replace(FULL, timeout_s=timeout_s)
    intent = f"comparing {package}: every artifact in a process of its own, in turns, within {seconds:g} s (--seconds)"
    with open_output(html, suffixes=(".html",), force=force) if html is not None else nullcontext() as report:
        with showing_progress("opening the package", plan=intent) as show:
            found = measure(
                package,
                backend,
                device,
                threads=threads,
                trust_code=trust_code,
                seconds=time_limit(seconds),
                plan=plan,
                progress=interruptible(show),
            )
        found = replace(found, price_per_hour=price_per_hour)
        if html is not None and report is not None:
            from inferox.report import render_report

            with writing(html):
                report.write_text(render_report(found), encoding="utf-8")
            say(f"inferox: wrote {html}", err=True)
    if as_json:
        import json

        data = found.to_json()
        measured = [item for item in data["artifacts"] if item["evidence"] is not None]
        evidence = shorten_evidence((item["evidence"] for item in measured), with_rows=with_rows)
        for item, short in zip(measured, evidence, strict=True):
            item["evidence"] = short
        click.echo(json.dumps(data))
    else:
        _print(found)
    # The warnings above a table have said it.
    no_peer = {PEER: found.no_peer} if as_json and found.no_peer is not None else {}
    say_left_out({**found.not_run, **no_peer}, "not measured", as_json=as_json)
    if found.ending is Ending.INTERRUPTED:
        raise KeyboardInterrupt


def _print(found: Comparison) -> None:
    from rich.text import Text

    from inferox.core import counted
    from inferox.machine import threads_text
    from inferox.report.summary import agreeing, answer, further_answers, how_far, recommend, warnings

    console = make_console()
    machine = found.machine
    best = agreeing(found)[0].artifact
    budget = threads_text(found.threads)
    console.print(Text.assemble((best, "bold"), answer(found).removeprefix(best)))
    for sentence in further_answers(found):
        console.print(Text(sentence))
    for item in recommend(found):
        ties = f" ({item.ties_text})" if item.ties else ""
        console.print(Text(f"  for {item.purpose}: {item.artifact}, {item.figure}{ties}"))
    for warning in warnings(found):
        console.print(Text(warning), style="yellow")
    console.print()
    console.print(Text(f"{found.name} ({found.task}), {budget} for each runtime"), style="bold")
    console.print(
        Text(f"{machine.processor}, {counted(machine.cores, 'core')}, {machine.system}, Python {machine.python}")
    )
    console.print(_facts_table(found, best))
    console.print()
    console.print(_times_table(found, best))
    notes = f"{_footnote(found)} MB on disk in brackets are shared with other artifacts."
    length = found.artifacts[0].one_row.length
    console.print(Text(f"{notes} One row has {counted(length, 'token')}." if length else notes), style="dim")
    for line in how_far(found):
        say(line)


def _footnote(found: Comparison) -> str:
    from inferox.report.spreads import medians_text

    starts, rounds = medians_text(found.starts, "start"), medians_text(found.rounds, "round")
    return f"Load and first result: {starts}. The other times and rates: {rounds}."


def _facts_table(found: Comparison, best: str) -> Table:
    """Makes the table of each artifact's facts, with its number in the other table."""
    from rich.text import Text

    from inferox.cli.tables import plain_table
    from inferox.report.quantities import bytes_text

    table = plain_table()
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("artifact", overflow="fold")
    table.add_column("parity", no_wrap=True)
    for heading in ("memory", "on disk"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, item in enumerate(found.listed, 1):
        shared = f"\n({bytes_text(item.shared_bytes)})" if item.shared_bytes else ""
        disk = Text("–") if item is found.peer else Text.assemble(bytes_text(item.size_bytes), (shared, "dim not bold"))
        memory = Text("–" if item.peak_memory_bytes is None else bytes_text(item.peak_memory_bytes))
        style = "bold" if item.artifact == best else None
        table.add_row(f"({number})", Text(item.artifact), _parity(found, item), memory, disk, style=style)
    return table


def _times_table(found: Comparison, best: str) -> Table:
    from inferox.cli.tables import plain_table

    table = plain_table()
    for heading in ("", "load", "first result", "one row", "rows/s", "tokens/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, item in enumerate(found.listed, 1):
        table.add_row(f"({number})", *_cells(item), style="bold" if item.artifact == best else None)
    return table


def _cells(item: ArtifactMeasurement) -> list[Text]:
    from rich.text import Text

    from inferox.report.quantities import seconds_text, three_digits
    from inferox.report.spreads import spread_text

    def spread(found: Spread, write: Callable[[float], str]) -> Text:
        between = spread_text(found, write)
        return Text.assemble(write(found.median), (f"\n{between}" if between else "", "dim not bold"))

    times = [spread(found, seconds_text) for found in (item.load_s, item.first_result_s, item.one_row.seconds)]
    rates = [
        Text("–") if found is None else spread(found, three_digits)
        for found in (item.throughput.rows_per_s, item.throughput.tokens_per_s)
    ]
    return [*times, *rates]


def _parity(found: Comparison, item: ArtifactMeasurement) -> Text:
    from rich.text import Text

    if item is found.peer:
        return Text("–")
    if item.evidence is None:
        return Text("not reached" if "parity" in found.unreached.get(item.artifact, ()) else "no samples", style="dim")
    agreement, name = item.evidence.agreement, item.evidence.parity_class.value
    batch = item.evidence.batch
    beside = "" if batch is None else "\nbatch invariant" if batch.holds else f"\nin batches {batch.max_rel:.1e}"
    figures = f"\nmax {agreement.max_abs:.1e}\ncos {agreement.cosine_min:.6f}{beside}"
    if item.evidence.weak is not None:
        figures += "\nweak evidence"
    return Text.assemble((name, "bold red" if name == "fail" else ""), (figures, "dim not bold"))
