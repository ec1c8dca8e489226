"""``inferox tune``: every artifact of a package measured on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inferox.cli.interrupts import interruptible
from inferox.cli.options import debug_option, json_option, trust_code_option
from inferox.cli.terminal import make_console, say

if TYPE_CHECKING:
    from inferox.measuring import Tuning


@click.command(
    short_help="Measure what is fastest on this machine.",
    epilog="Example: inferox tune minilm.mlpkg --threads 2",
)
@click.argument("package")
@click.option("--backend", default="auto", show_default=True, help="The only backend to measure; auto for all.")
@click.option("--device", help="Where to run, such as cuda:0. By default each backend's own choice.")
@click.option("--threads", type=click.IntRange(min=1), help="The thread budget of every runtime.")
@trust_code_option
@json_option
@debug_option
def tune(
    package: str, *, backend: str, device: str | None, threads: int | None, trust_code: bool, as_json: bool
) -> None:
    """Measure every artifact of a package over batches of different shapes, and keep what is fastest for each.

    The result is kept in the local store, and is used whenever the package is loaded on this machine with as many
    threads. It is written at the end: an interrupted run changes nothing.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from inferox.measuring import tune as measure

    console = make_console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        step = bar.add_task("loading")
        found = measure(
            package,
            backend,
            device,
            threads=threads,
            trust_code=trust_code,
            progress=interruptible(lambda what, done, of: bar.update(step, description=what, completed=done, total=of)),
        )
    if as_json:
        import json

        click.echo(json.dumps({"name": found.name, "profile": found.profile.to_json(), "not_run": dict(found.not_run)}))
    else:
        _print(found)


def _print(found: Tuning) -> None:
    from inferox.cli.tables import profile_table

    make_console().print(profile_table(found.profile))
    for artifact, reason in found.not_run.items():
        say(f"not measured: {artifact}: {reason}")
    say(f"kept in {found.path}")
