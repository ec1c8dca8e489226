"""The only way from the commands to a terminal: foreign text is shown, but never controls it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any

import click


def say(text: str, *, err: bool = False) -> None:
    """Prints one line, with control characters and line breaks escaped.

    Args:
        text: The line, which may contain names and values from untrusted files.
        err: Whether to print to standard error.
    """
    from inferox.core import printable

    click.echo(printable(text), err=err)


def is_redirected() -> bool:
    """Returns whether standard output goes elsewhere than to a terminal."""
    return sys.stdout is None or not sys.stdout.isatty()


def make_console(*, stderr: bool = False) -> Any:
    """Makes a rich console that prints tables with control characters escaped.

    Args:
        stderr: Whether it prints to standard error.
    """
    from rich.console import Console
    from rich.segment import Segment

    from inferox.core import printable

    class _Terminal(Console):
        def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                if segment.control or segment.text.isprintable():
                    yield segment
                else:
                    # rich itself ends lines with separate segments, or at the end of a segment's text.
                    lines = "\n".join(printable(line) for line in segment.text.split("\n"))
                    yield Segment(lines, segment.style)

    return _Terminal(stderr=stderr)


class LogHandler(logging.Handler):
    """Writes log records to the current standard error: threads may log after a command has ended."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record."""
        try:
            click.echo(self.format(record), err=True)
        except Exception:  # noqa: BLE001 - as in every handler: a failure to log ends nothing
            self.handleError(record)


class LineFormatter(logging.Formatter):
    """Formats a log record as one line, with control characters escaped; a traceback follows unchanged."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Formats the line of a record."""
        from inferox.core import printable

        return printable(super().formatMessage(record))
