"""``python -m tests.fuzz``: hostile packages and images, which must end in an answer or an error of Inferox."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from inferox.cli.main import EXIT_INTERRUPTED
from inferox.machine import available_cores
from tests.fuzz.cases import Case, Selection, select_cases
from tests.fuzz.results import collect
from tests.fuzz.workers import Limits, Outcome, run_cases

_LINE_EVERY = 1_000


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--cases", "count", type=click.IntRange(min=1), default=20_000, show_default=True, help="How many.")
@click.option("--seed", type=int, default=0, show_default=True, help="What decides which cases are tried.")
@click.option(
    "--only", metavar="FILE", help="One file, such as config.json or embed/config.json; or archive, or image."
)
@click.option("--case", "names", multiple=True, metavar="NAME", help="Repeat this case; can stand several times.")
@click.option(
    "--corpus",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for the packages: made if it is missing, and used again if not. By default they are made anew.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="How many processes. By default one a core.")
@click.option("--time-limit", type=float, default=60.0, show_default=True, help="The longest time of a case, in s.")
@click.option("--memory-limit", type=float, default=4.0, show_default=True, help="The memory of a process, in GiB.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def fuzz(
    *,
    count: int,
    seed: int,
    only: str | None,
    names: tuple[str, ...],
    corpus: Path | None,
    jobs: int | None,
    time_limit: float,
    memory_limit: float,
    as_json: bool,
) -> None:
    """Try hostile packages and images: every one must end in an answer or in an error of Inferox.

    Packages of every task are made, with seeded weights. In each case one place of one of their JSON files holds a
    hostile value, with digests that fit, or the headers of an archive or the bytes of an image are damaged; and the
    package is inspected, run and verified, in a process with limits of time and memory.

    Ends with exit code 1 where a case ended otherwise: in another exception, a crash, or at a limit.
    """
    limits = Limits(int(memory_limit * 2**30), time_limit)
    with tempfile.TemporaryDirectory(prefix="inferox-fuzz-") as scratch:
        folder = corpus or Path(scratch) / "corpus"
        if not folder.exists():
            from tests.fuzz.corpus import CORPUS, make_corpus

            click.echo("packing the models", err=True)
            needed = {Case(name).package for name in names} or set(CORPUS)
            make_corpus(folder, {task: backends for task, backends in CORPUS.items() if task in needed})
        if names:
            selection = Selection(tuple(Case(name) for name in names), 0, 0, 0, 0)
        else:
            selection = select_cases(folder, count, seed=seed, only=only)
        if not selection.cases:
            raise click.UsageError(f"there is no file {only} in a package")
        outcomes = run_cases(folder, selection.cases, limits, jobs=jobs or available_cores())
        results = collect(selection, _shown(outcomes, len(selection.cases)))
    if as_json:
        click.echo(json.dumps(results.to_json()))
    else:
        results.print(Console())
    sys.exit(1 if results.violations else EXIT_INTERRUPTED if results.is_interrupted else 0)


def _shown(outcomes: Iterable[Outcome], total: int) -> Iterator[Outcome]:
    """Shows the progress of the outcomes: a bar on a terminal, and elsewhere a line from time to time."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    violations = 0
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("cases", total=total)
        for number, outcome in enumerate(outcomes, 1):
            violations += outcome.is_violation
            progress.update(bar, advance=1, description=f"cases, {violations} violations")
            if outcome.is_violation:
                progress.console.print(
                    f"{outcome.ending}: {outcome.case.name}", markup=False, highlight=False, soft_wrap=True
                )
            if not console.is_terminal and number % _LINE_EVERY == 0:
                click.echo(f"{number:,} of {total:,} cases, {violations} violations", err=True)
            yield outcome


if __name__ == "__main__":
    fuzz()
