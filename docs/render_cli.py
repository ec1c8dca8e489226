"""Writes ``docs/cli.md`` from the output of ``--help``. ``make docs`` runs it, and a test compares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from inferox.cli.main import cli

TARGET = Path(__file__).with_name("cli.md")

_WIDTH = 100

HEADING = """# The command line

The output of `--help` for each command. `make docs` writes this page.
"""


def render() -> str:
    """Returns the page, with the help of the program and of each of its commands."""
    context = cli.make_context("inferox", [], resilient_parsing=True, terminal_width=_WIDTH)
    parts = [HEADING, f"```text\n{cli.get_help(context)}\n```\n"]
    parts += _render_commands(cli, context)
    return "\n".join(parts)


def _render_commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        inner = command.make_context(name, [], parent=context, resilient_parsing=True, terminal_width=_WIDTH)
        yield f"## {inner.command_path}\n\n```text\n{command.get_help(inner)}\n```\n"
        if isinstance(command, click.Group):
            yield from _render_commands(command, inner)


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
