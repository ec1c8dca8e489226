"""Writes ``docs/cli.md`` from what ``--help`` says. ``make docs`` runs it, and a test compares."""

from __future__ import annotations

from pathlib import Path

from inferox.cli.main import cli

TARGET = Path(__file__).with_name("cli.md")

_WIDTH = 100

HEADING = """# The command line

What `--help` says, command by command. This page is written by `make docs`.
"""


def render() -> str:
    """The page, with the help of the program and of each of its commands."""
    context = cli.make_context("inferox", [], resilient_parsing=True, terminal_width=_WIDTH)
    parts = [HEADING, f"```text\n{cli.get_help(context)}\n```\n"]
    for name in sorted(cli.commands):
        command = cli.commands[name]
        inner = command.make_context(name, [], parent=context, resilient_parsing=True, terminal_width=_WIDTH)
        parts.append(f"## inferox {name}\n\n```text\n{command.get_help(inner)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
