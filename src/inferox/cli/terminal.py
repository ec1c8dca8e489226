"""The only way from the commands to a terminal: foreign text is shown, and never controls it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import click


def say(text: str, *, err: bool = False) -> None:
    """Prints one line, with control characters and line breaks written out.

    Args:
        text: The line, which may hold names and values out of foreign files.
        err: Whether it goes to standard error.
    """
    from inferox.core import printable

    click.echo(printable(text), err=err)


def make_console(*, stderr: bool = False) -> Any:
    """Makes rich's console, which prints tables with control characters written out.

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
                    # rich itself ends lines with segments of their own, or at the end of their text.
                    lines = "\n".join(printable(line) for line in segment.text.split("\n"))
                    yield Segment(lines, segment.style)

    return _Terminal(stderr=stderr)


class LogHandler(logging.Handler):
    """Writes log records to what is standard error by then: threads may log after a command has ended."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record."""
        try:
            click.echo(self.format(record), err=True)
        except Exception:  # noqa: BLE001 - as every handler: what cannot be logged ends nothing
            self.handleError(record)


class LineFormatter(logging.Formatter):
    """Formats a log record as one line, with control characters written out; a traceback follows as it is."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line of a record."""
        from inferox.core import printable

        return printable(super().formatMessage(record))
