"""The ``inferox`` command: its subcommands, and the handling of errors."""

from __future__ import annotations

import errno
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from inferox.cli.bench import bench
from inferox.cli.compare import compare
from inferox.cli.doctor import doctor
from inferox.cli.explain import explain
from inferox.cli.inspect import inspect
from inferox.cli.interrupts import remembered_interrupts
from inferox.cli.pack import pack
from inferox.cli.run import run
from inferox.cli.serve import serve
from inferox.cli.sign import sign
from inferox.cli.store import store
from inferox.cli.terminal import say
from inferox.cli.tune import tune
from inferox.cli.verify import verify

EXIT_INTERRUPTED = 130
EXIT_FAILED = 1
EXIT_UNREAD = 141
"""The exit code that a shell reports for a program ended by SIGPIPE."""

_OUTPUT_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""The errors of standard output when its disk is full or broken."""


_EPILOG = """\b
Example:
  inferox pack ./all-MiniLM-L6-v2 -o minilm.mlpkg
  inferox run minilm.mlpkg "a first sentence" "and a second one"

\b
Exit codes:
  0 done, 1 the computation failed, 2 wrong usage, 3 bad package or model,
  4 bad input, 5 no usable backend, 130 interrupted, 141 output not read to its end
"""


class _UnreadError(Exception):
    """The reader of the output, such as head, has closed it."""


_SECTIONS = {
    "Make and run": (pack, run, serve),
    "Inspect, check and sign": (inspect, verify, sign),
    "Find the fastest": (tune, compare, bench, explain),
    "This machine": (doctor, store),
}
"""The commands, in the order in which users need them."""


class _Commands(click.Group):
    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(str(command.name), command.get_short_help_str()) for command in commands])

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError as error:
            # Click would exit with the code for a failed computation.
            raise _UnreadError from error


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, epilog=_EPILOG
)
@click.version_option(package_name="inferox", message="inferox %(version)s")
def cli() -> None:
    """Pack a PyTorch model once, prove that every runtime computes the same thing, and run it anywhere."""


for _section in _SECTIONS.values():
    for _command in _section:
        cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line, and ends the process with the exit code.

    Args:
        arguments: The words after the program's name; ``None`` for those of the process.
    """
    called_at = None if arguments is None else time.time()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stderr is None:
        # The parent process closed it. Messages go nowhere, and its descriptor must not be reused for another file.
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end
    sys.exit(_run(words, called_at))


def _run(words: list[str], called_at: float | None) -> int:
    debug = "--debug" in words
    try:
        with remembered_interrupts():
            cli.main(words, prog_name="inferox", standalone_mode=False, obj=called_at)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        say("inferox: interrupted", err=True)
        return EXIT_INTERRUPTED
    except (_UnreadError, BrokenPipeError):
        _silence_output()
        return EXIT_UNREAD
    except OSError as error:
        if error.errno not in _OUTPUT_FAULTS:
            return _fail(error, debug=debug)
        say(f"inferox: standard output cannot be written: {error.strerror}", err=True)
        _silence_output()
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - whatever it is, users see one line and no traceback
        return _fail(error, debug=debug)
    return 0


def _silence_output() -> None:
    """Keeps Python from reporting at exit, once more, that its output cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: Exception, *, debug: bool) -> int:
    from inferox.cli.exit_codes import exit_code_of
    from inferox.core import InferoxError, LoadError

    if debug:
        traceback.print_exception(error)
    if isinstance(error, MemoryError):
        error = LoadError(
            "this process ran out of memory",
            hint="use a smaller model or smaller batches, or allow more: --memory-limit with --isolated",
        )
    if debug:
        return exit_code_of(error)
    if isinstance(error, InferoxError):
        say(f"inferox: {error.message}", err=True)
        if error.hint:
            say(f"  hint: {error.hint}", err=True)
    else:
        say(f"inferox: unexpected {type(error).__name__}: {error}", err=True)
        say("  hint: run it again with --debug for the traceback, and report it", err=True)
    return exit_code_of(error)
