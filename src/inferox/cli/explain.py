"""``inferox explain``: explains the choice of an artifact for a package."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from inferox.cli.options import debug_option, json_option, quality_option, trust_code_option
from inferox.cli.terminal import make_console, say

if TYPE_CHECKING:
    from inferox.loading import Explanation

EXIT_NOTHING_USABLE = 5


@click.command(
    short_help="Explain which artifact of a package runs here, and why.",
    epilog="Example: inferox explain minilm.mlpkg --quality quantized",
)
@click.argument("package")
@click.option("--backend", default="auto", show_default=True, help="The only backend to consider; auto for all.")
@click.option("--device", help="Where to run, such as cuda:0. By default each backend's own choice.")
@click.option("--precision", help="The only precision to consider. By default the best that the package has.")
@quality_option
@click.option("--threads", type=click.IntRange(min=1), help="The number of CPU threads of the runtime.")
@trust_code_option
@json_option
@debug_option
def explain(
    package: str,
    *,
    backend: str,
    device: str | None,
    precision: str | None,
    quality: str | None,
    threads: int | None,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Explain for every artifact why run would take or reject it, with earlier measurements. No artifact is loaded.

    Ends with exit code 5 if no artifact can run here.
    """
    from inferox.loading import explain as find_reasons

    found = find_reasons(package, backend, device, precision, quality=quality, threads=threads, trust_code=trust_code)
    if as_json:
        _print_json(found)
    else:
        _print_table(found)
    if not any(verdict.taken for verdict in found.verdicts):
        sys.exit(EXIT_NOTHING_USABLE)


def _print_json(found: Explanation) -> None:
    import json

    profile = found.found.profile
    click.echo(
        json.dumps(
            {
                "name": found.name,
                "artifacts": [
                    {
                        "artifact": verdict.artifact,
                        "parity": None if verdict.parity_class is None else verdict.parity_class.value,
                        "taken": verdict.taken,
                        "reason": verdict.reason,
                    }
                    for verdict in found.verdicts
                ],
                "profile": None if profile is None else profile.to_json(),
                "profile_ignored": found.found.ignored,
            }
        )
    )


def _print_table(found: Explanation) -> None:
    from rich.text import Text

    from inferox.cli.tables import plain_table, profile_table
    from inferox.core import printable

    table = plain_table(Text(printable(found.name)))
    table.add_column("artifacts", no_wrap=True)
    table.add_column("parity", no_wrap=True)
    table.add_column("why")
    for taken, reason in dict.fromkeys((verdict.taken, verdict.reason) for verdict in found.verdicts):
        alike = [verdict for verdict in found.verdicts if (verdict.taken, verdict.reason) == (taken, reason)]
        mark = ("taken: ", "bold green") if taken else ("rejected: ", "dim")
        table.add_row(
            Text("\n".join(verdict.artifact for verdict in alike)),
            "\n".join("–" if verdict.parity_class is None else verdict.parity_class.value for verdict in alike),
            Text.assemble(mark, printable(reason)),
        )
    console = make_console()
    console.print(table)
    if found.found.profile is not None:
        console.print(profile_table(found.found.profile))
    if found.found.ignored:
        say(f"measurements are ignored: {found.found.ignored}")
    elif found.found.profile is None:
        say("nothing was measured on this machine: 'inferox tune' does that")
