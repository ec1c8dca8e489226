"""``python -m tests.fuzz.server``: requests generated from the description of the server's routes, and others."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import click
from rich.console import Console

from tests.server.clients import ask_client
from tests.server.oip.test_openapi_cases import PROGRAM, TASKS
from tests.server.running import running
from tests.shared import SharedFolders, find_minilm
from tests.task_packages import get_task_packages

_ARTIFACT = "torch"

_OPTIONS = ("--threads", "1", "--token-ids", "accept", "--offer-artifacts", _ARTIFACT)
"""The options that make the server accept as much as possible."""

_AT_ONCE = 2_000
"""The number of cases per seed; after them it shows its progress."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--cases", "count", type=click.IntRange(min=1), default=50_000, show_default=True, help="How many.")
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of the first of them.")
@click.option(
    "--corpus",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for the packages: made if it is missing, and used again if not. By default they are made anew.",
)
def fuzz(*, count: int, seed: int, corpus: Path | None) -> None:
    """Ask a server of small models what /openapi.json allows, and what it does not.

    Every answer must be as it is described there: its status, its content type and its body. None may say that the
    server failed, or take more than 30 seconds.

    Ends with exit code 1 where one was otherwise.
    """
    console = Console(stderr=True, highlight=False)
    statuses: Counter[str] = Counter()
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as temporary:
        packages = get_task_packages(SharedFolders(corpus or Path(temporary)), find_minilm())
        with running(*(f"{task}={packages[task]}" for task in TASKS), *_OPTIONS) as server:
            server.wait_until_ready()
            while (tried := statuses.total()) < count:
                cases = min(_AT_ONCE, count - tried)
                asked = {"cases": cases, "seed": seed, "models": TASKS, "artifact": _ARTIFACT}
                found = ask_client(PROGRAM, server.url, asked=asked, timeout_s=3600)
                statuses.update(found["statuses"])
                failures = found["failures"] | failures
                seed += 1
                console.print(f"{statuses.total():,} of {count:,} answers, {len(failures)} kinds of failures")
    for place, what in failures.items():
        click.echo(f"{place}\n{what}\n")
    click.echo(", ".join(f"{status}: {number:,}" for status, number in sorted(statuses.items())))
    sys.exit(bool(failures))


if __name__ == "__main__":
    fuzz()
