"""Options that several commands share."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inferox.cli.number_types import POSITIVE
from inferox.cli.terminal import LineFormatter, LogHandler, is_redirected

if TYPE_CHECKING:
    from inferox.parity import Limits

Command = TypeVar("Command", bound=Callable[..., Any])


def _set_up_logging(_context: click.Context, _parameter: click.Parameter, debug: bool) -> None:
    handler = LogHandler()
    handler.setFormatter(LineFormatter("inferox: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.DEBUG if debug else logging.WARNING, force=True)
    # Libraries' warnings are for developers; the user of a command can do nothing about them.
    logging.captureWarnings(capture=True)
    logging.getLogger("py.warnings").setLevel(logging.DEBUG if debug else logging.ERROR)


def debug_option(command: Command) -> Command:
    """Adds ``--debug``: tracebacks of errors, and a log of the steps."""
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_up_logging,
        help="Log what is done, and show the traceback of an error.",
    )(command)


def json_option(command: Command) -> Command:
    """Adds ``--json/--table``: by default a table on a terminal, and JSON elsewhere."""
    return click.option(
        "--json/--table",
        "as_json",
        default=None,
        callback=lambda _context, _parameter, value: is_redirected() if value is None else value,
        help="JSON for programs or a table for people. By default a table on a terminal, and JSON elsewhere.",
    )(command)


def rows_option(command: Command) -> Command:
    """Adds ``--rows``: JSON that has the evidence of every row as well."""
    return click.option(
        "--rows", "with_rows", is_flag=True, help="Include the difference of every row from the original in the JSON."
    )(command)


def seconds_option(command: Command) -> Command:
    """Adds ``--seconds``: the time for measuring, a minute by default."""
    return click.option(
        "--seconds",
        type=POSITIVE,
        default=60.0,
        show_default=True,
        help="How long it may take, from start to end. With more time, everything is measured more often.",
    )(command)


def tolerance_option(command: Command) -> Command:
    """Adds ``--tolerance``: limits on the agreement of artifacts, in place of their own."""
    return click.option(
        "--tolerance",
        metavar="NAME=NUMBER,…",
        callback=_parse_tolerance,
        help="The limits for every artifact, such as cosine_min=0.97,max_rel=0.2; also cosine_mean, order_min, tie. "
        "The other limits are the defaults of the artifact's precision, or those stated when it was packed.",
    )(command)


def quality_option(command: Command) -> Command:
    """Adds ``--quality``."""
    return click.option(
        "--quality",
        type=click.Choice(["exact", "close", "quantized"]),
        help="The required agreement with the original. By default close, or any if a precision is given.",
    )(command)


def runtime_options(command: Command) -> Command:
    """Adds the options that choose the backend, device, precision, quality and threads."""
    options = (
        click.option("--backend", default="auto", show_default=True, help="The runtime to use."),
        click.option("--device", help="Where to run, such as cuda:0. By default the backend's own choice."),
        click.option("--precision", help="fp32, bf16, fp16 or int8. By default the best that the package has."),
        quality_option,
        click.option("--threads", type=click.IntRange(min=1), help="The number of CPU threads."),
    )
    for option in reversed(options):  # the order in which decorators apply
        command = option(command)
    return command


def trust_code_option(command: Command) -> Command:
    """Adds ``--trust-code``."""
    return click.option(
        "--trust-code",
        is_flag=True,
        help="Allow code that comes with the model to run. Only for models whose origin you trust.",
    )(command)


def signature_option(command: Command) -> Command:
    """Adds ``--require-signature``."""
    return click.option(
        "--require-signature",
        metavar="KEY",
        type=click.Path(path_type=Path),
        help="Take only packages that are signed with this public key (a PEM file); see inferox sign.",
    )(command)


_LIMITS = {
    "max_rel": (0.0, sys.float_info.max),
    "cosine_mean": (-1.0, 1.0),
    "cosine_min": (-1.0, 1.0),
    "order_min": (0.0, 1.0),
    "tie": (0.0, 1.0),
}
"""The smallest and the largest value of each limit."""


def _parse_tolerance(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Limits | None:
    if text is None:
        return None
    limits = {}
    for part in text.split(","):
        name, _, number = (word.strip() for word in part.partition("="))
        try:
            value = float(number)
        except ValueError:
            raise click.BadParameter(f"{part!r} is not of the form NAME=NUMBER, such as cosine_min=0.97") from None
        low, high = _LIMITS.get(name, (1.0, 0.0))
        if not low <= value <= high:
            raise click.BadParameter(
                f"{part!r} is neither max_rel with 0 or more, nor cosine_mean or cosine_min with a number from -1 "
                "to 1, nor order_min or tie with one from 0 to 1"
            )
        limits[name] = value
    return limits
