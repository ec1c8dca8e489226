"""Options that several commands share."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from inferox.package import Tolerance

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


def tolerance_option(command: Command) -> Command:
    """Adds ``--tolerance``: how well an artifact must agree, in the place of what its precision asks for."""
    return click.option(
        "--tolerance",
        metavar="NAME=NUMBER,…",
        callback=_parse_tolerance,
        help="What every artifact must reach, such as cosine_min=0.97,max_rel=0.2; also cosine_mean. What is not "
        "named is that of the class quantized. By default its precision decides.",
    )(command)


def quality_option(command: Command) -> Command:
    """Adds ``--quality``."""
    return click.option(
        "--quality",
        type=click.Choice(["exact", "close", "quantized"]),
        help="How well an artifact must agree with the original. By default close, or any where a precision is given.",
    )(command)


def trust_code_option(command: Command) -> Command:
    """Adds ``--trust-code``."""
    return click.option(
        "--trust-code",
        is_flag=True,
        help="Allow code that comes with the model to run. Only for models whose origin you trust.",
    )(command)


def _parse_tolerance(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Tolerance | None:
    if text is None:
        return None
    from dataclasses import asdict, replace

    from inferox.package import TOLERANCES, ParityClass

    tolerance = TOLERANCES[ParityClass.QUANTIZED]
    for part in text.split(","):
        name, _, number = (word.strip() for word in part.partition("="))
        try:
            value = float(number)
        except ValueError:
            raise click.BadParameter(f"{part!r} is not of the form NAME=NUMBER, such as cosine_min=0.97") from None
        limits = {"max_rel": (0, float("inf"))}
        low, high = limits.get(name, (-1, 1))
        if name not in asdict(tolerance) or not low <= value <= high:
            raise click.BadParameter(
                f"{part!r} is neither max_rel with a number from 0 up, nor cosine_mean or cosine_min with one from -1 "
                "to 1"
            )
        tolerance = replace(tolerance, **{name: value})
    return tolerance


def _default_to_json() -> bool:
    return sys.stdout is None or not sys.stdout.isatty()
