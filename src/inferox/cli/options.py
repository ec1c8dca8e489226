"""Options that several commands share."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def _set_up_logging(_context: click.Context, _parameter: click.Parameter, debug: bool) -> None:
    logging.basicConfig(format="inferox: %(message)s", level=logging.DEBUG if debug else logging.WARNING, force=True)
    # Libraries warn their developers; whoever runs a command can do nothing about it.
    logging.captureWarnings(capture=True)
    logging.getLogger("py.warnings").setLevel(logging.DEBUG if debug else logging.ERROR)


def debug_option(command: Command) -> Command:
    """Adds ``--debug``: a traceback instead of one line, and a log of what is done."""
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_up_logging,
        help="Log what is done, and show the traceback of an error.",
    )(command)


def json_option(command: Command) -> Command:
    """Adds ``--json/--table``: JSON for programs, a table for people; by default whichever reads standard output."""
    return click.option(
        "--json/--table",
        "as_json",
        default=None,
        callback=lambda _context, _parameter, value: _default_to_json() if value is None else value,
        help="JSON for programs or a table for people. By default a table on a terminal, and JSON elsewhere.",
    )(command)


def trust_code_option(command: Command) -> Command:
    """Adds ``--trust-code``."""
    return click.option(
        "--trust-code",
        is_flag=True,
        help="Allow code that comes with the model to run. Only for models whose origin you trust.",
    )(command)


def _default_to_json() -> bool:
    return sys.stdout is None or not sys.stdout.isatty()
