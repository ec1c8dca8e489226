"""Commands that can run in a process of their own, so that untrusted input cannot crash this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import click

from inferox.cli.number_types import POSITIVE

_LEAST_BYTES = 2**20
"""The least limit of memory: a smaller one lacks its unit."""

_SHARE = 0.8
"""The default share of the free memory that the process may use, so that the machine does not swap."""

_LIMIT_S = 600.0

NETWORK, NO_NETWORK = "network", "no-network"
"""The argument that tells the child whether it may open sockets."""


class IsolatableCommand(click.Command):
    """A command that ``--isolated`` runs in a child process with memory and time limits.

    A runtime that crashes on a hostile or damaged model ends only the child, and is reported as an error. On Linux the
    child cannot open sockets, unless the command needs the network.
    """

    needs_network = False
    """True if the child may open sockets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        network = "with the network, for models on a hub" if self.needs_network else "on Linux without the network"
        self.params += [
            click.Option(
                ["--isolated"],
                is_flag=True,
                help="Run in a process of its own with limits on memory and time, to contain a crash of a runtime; "
                f"{network}.",
            ),
            click.Option(
                ["--memory-limit"],
                metavar="SIZE",
                help="With --isolated: the most memory it may use, such as 4GiB. By default 80% of what is free.",
            ),
            click.Option(
                ["--time-limit"],
                type=POSITIVE,
                metavar="SECONDS",
                help=f"With --isolated: the longest time it may take. By default {_LIMIT_S:g} seconds.",
            ),
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keeps the words of the command for the child process."""
        ctx.meta[__name__] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command, here or in a child process.

        Raises:
            click.UsageError: If limits are given without ``--isolated``.
            ConfigError: If the limit of memory is not a size.
            LoadError: If the child process crashes or takes too long.
        """
        isolated, memory, time_s = (ctx.params.pop(name) for name in ("isolated", "memory_limit", "time_limit"))
        if not isolated:
            if memory is not None or time_s is not None:
                raise click.UsageError("--memory-limit and --time-limit are for --isolated", ctx)
            return super().invoke(ctx)
        form = {True: ["--json"], False: ["--table"]}.get(ctx.params.get("as_json"), [])  # type: ignore[arg-type]
        words = [ctx.info_name or "", *form, *_without_isolation(ctx.meta[__name__])]
        memory_bytes = _default_memory_bytes() if memory is None else _parse_limit(memory)
        code = _run_child(words, memory_bytes, time_s or _LIMIT_S, needs_network=self.needs_network)
        if code:
            sys.exit(code)
        return None


class IsolatableNetworkCommand(IsolatableCommand):
    """An isolatable command that may need the network."""

    needs_network = True


def _without_isolation(words: list[str]) -> list[str]:
    """Returns the words without the options that are for the parent."""
    kept: list[str] = []
    waiting = iter(words)
    for word in waiting:
        if word == "--":
            return [*kept, word, *waiting]
        if word in {"--memory-limit", "--time-limit"}:
            next(waiting, None)
        elif word != "--isolated" and not word.startswith(("--memory-limit=", "--time-limit=")):
            kept.append(word)
    return kept


def _parse_limit(memory: str) -> int:
    from inferox.core import ConfigError
    from inferox.package.store_limit import parse_size

    memory_bytes = parse_size(memory, "--memory-limit")
    if memory_bytes < _LEAST_BYTES:
        raise ConfigError(f"--memory-limit must be 1MiB or more, but is {memory}", hint="state its unit, such as 4GiB")
    return memory_bytes


def _default_memory_bytes() -> int:
    from inferox.backends.host import free_memory_bytes

    return int(free_memory_bytes() * _SHARE)


def _run_child(words: list[str], memory_bytes: int, time_s: float, *, needs_network: bool) -> int:
    from inferox.core import LoadError
    from inferox.machine.processes import signal_name

    network = NETWORK if needs_network else NO_NETWORK
    child = subprocess.Popen(  # noqa: S603 - our own module, by this interpreter
        # -P keeps the current folder, which may contain anything, off the import path.
        [sys.executable, "-P", "-m", "inferox.cli.isolated_process", str(memory_bytes), network, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output, errors = child.communicate(timeout=time_s)
    except subprocess.TimeoutExpired as error:
        raise LoadError(
            f"the isolated process took longer than {time_s:g} s", hint="allow more with --time-limit"
        ) from error
    finally:
        _end(child)
    if child.returncode < 0:
        raise LoadError(
            f"the isolated process was ended by {signal_name(child.returncode)}: a runtime crashed on its "
            f"input, or needed more than its {_size_text(memory_bytes)} of memory",
            hint="do not load this model elsewhere; try --backend or --backends to find out which runtime it is",
        )
    said = errors.decode(errors="replace").strip().splitlines() or ["it said nothing"]
    # Short of memory, Python fails in many ways: a library that cannot be mapped is an ImportError.
    unexpected = [line for line in said if line.startswith("inferox: unexpected ")]
    if child.returncode and (unexpected or not any(line.startswith("inferox: ") for line in said)):
        last = [*said, *unexpected][-1].removeprefix("inferox: ")
        raise LoadError(
            f"the isolated process ended with exit code {child.returncode} and no answer: {last}",
            hint=f"it may have needed more than its {_size_text(memory_bytes)} of memory: "
            "allow more with --memory-limit",
        )
    click.echo(output.decode(errors="replace"), nl=False)
    click.echo(errors.decode(errors="replace"), err=True, nl=False)
    return child.returncode


def _size_text(size_bytes: int) -> str:
    from inferox.report.quantities import bytes_text  # with the whole report, which only an error needs

    return bytes_text(size_bytes)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kills the child and all processes that it started."""
    if child.poll() is not None:
        return
    if hasattr(os, "killpg"):
        os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.communicate()
