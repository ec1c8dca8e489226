"""Writes ``docs/cli.md`` from what ``--help`` says. ``make docs`` runs it, and a test compares."""

from __future__ import annotations

from pathlib import Path

import click

from inferox.cli.main import cli

TARGET = Path(__file__).with_name("cli.md")

HEADING = """# The command line

What `--help` says, command by command. This page is written by `make docs`.
"""


def render() -> str:
    """The page, with the help of the program and of each of its commands."""
    context = click.Context(cli, info_name="inferox", terminal_width=100, max_content_width=100)
    parts = [HEADING, f"```text\n{cli.get_help(context)}\n```\n"]
    for name in sorted(cli.commands):
        command = cli.commands[name]
        inner = click.Context(command, info_name=name, parent=context, terminal_width=100, max_content_width=100)
        parts.append(f"## inferox {name}\n\n```text\n{command.get_help(inner)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
