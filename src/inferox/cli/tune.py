"""``inferox tune``: measures every artifact of a package on this machine."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

import click

from inferox.cli.interrupts import interruptible
from inferox.cli.left_out import say_left_out
from inferox.cli.options import debug_option, json_option, seconds_option, trust_code_option
from inferox.cli.progress import showing_progress
from inferox.cli.terminal import make_console, say
from inferox.cli.time_limit import time_limit

if TYPE_CHECKING:
    from inferox.measuring import Tuning


@click.command(
    short_help="Measure which artifact is fastest on this machine.",
    epilog="Example: inferox tune minilm.mlpkg --threads 2",
)
@click.argument("package")
@click.option("--backend", default="auto", show_default=True, help="The only backend to measure; auto for all.")
@click.option("--device", help="Where to run, such as cuda:0. By default each backend's own choice.")
@click.option("--threads", type=click.IntRange(min=1), help="The thread budget of every runtime.")
@seconds_option
@trust_code_option
@json_option
@debug_option
def tune(
    package: str,
    *,
    backend: str,
    device: str | None,
    threads: int | None,
    seconds: float,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Measure every artifact of a package over calls of different sizes, and keep what is fastest for each.

    The result is kept in the local store, and is used whenever the package is loaded on this machine with the same
    number of threads. Every batch is measured once before any is measured again. When the time is over, or Ctrl-C
    stops it, the measurements so far are kept, except where earlier ones, which still hold, rest on more rounds.
    """
    from inferox.measuring import Ending
    from inferox.measuring import tune as measure

    plan = f"tuning {package}: every artifact over calls of different sizes, within {seconds:g} s (--seconds)"
    with showing_progress("opening the package", plan=plan) as show:
        found = measure(
            package,
            backend,
            device,
            threads=threads,
            trust_code=trust_code,
            seconds=time_limit(seconds),
            progress=interruptible(show),
        )
    if as_json:
        import json

        how_far = {"ending": found.ending, "rounds": found.rounds, "unreached": found.unreached}
        result = {
            "name": found.name,
            "profile": found.profile.to_json(),
            "not_run": dict(found.not_run),
            "noise": dict(found.noise),
            "stored": found.is_stored,
            "kept": dict(found.kept),
        }
        click.echo(json.dumps({**result, **how_far}))
    else:
        _print(found)
    say_left_out(found.not_run, "not measured", as_json=as_json)
    if found.kept:
        say(f"inferox: {_kept(found)}", err=True)
    if found.ending is Ending.INTERRUPTED:
        raise KeyboardInterrupt


def _print(found: Tuning) -> None:
    from inferox.cli.tables import profile_table

    say(_answer(found))
    for warning in _warnings(found):
        say(warning)
    make_console().print(profile_table(found.profile))
    if how := _how_far(found):
        say(how)
    if found.is_stored:
        say(f"stored in {found.path}")


def _kept(found: Tuning) -> str:
    """Says which earlier measurements remain in the place of these, and why."""
    from inferox.core import counted
    from inferox.measuring import Ending

    few, many = min(found.kept.values()), max(found.kept.values())
    rounds = counted(many, "round") if few == many else f"{few} to {many} rounds"
    now = f"in {counted(found.rounds, 'round')}" if found.rounds else "in less than one round"
    hint = "; --seconds allows more time" if found.ending is Ending.OUT_OF_TIME else ""
    return f"kept the earlier times of {', '.join(found.kept)}: measured in {rounds}, now {now}{hint}"


def _answer(found: Tuning) -> str:
    """Says which artifact is fastest over all shapes, how much faster than PyTorch in fp32, and how exact."""
    from inferox.report.quantities import factor_text

    profile = found.profile
    shapes = sorted({(cell.rows, cell.length) for cells in profile.cells.values() for cell in cells})
    times = {name: [profile.seconds(name, *shape) for shape in shapes] for name in profile.cells}
    # The one to be loaded from now on, which is not always the fastest for most shapes.
    ratios = profile.ratios(profile.cells)
    fastest = min(ratios, key=lambda name: sum(ratios[name]))
    won = sum(ratio == 1 for ratio in ratios[fastest])
    answer = f"{fastest} is the fastest here over all {len(shapes)} sizes of call, and for {won} of them individually"
    reached = found.classes.get(fastest)
    exact = "its exactness was not measured" if reached is None else f"its outputs are {reached.value}"
    torch = [name for name in times if name.startswith("torch/") and "/fp32/" in name]
    if not torch:
        return f"{answer}; {exact}. PyTorch in fp32 was not measured."
    best = [min(times[name][index] for name in torch) for index in range(len(shapes))]
    gains = [theirs / mine for theirs, mine in zip(best, times[fastest], strict=True) if math.isfinite(theirs / mine)]
    if fastest in torch or not gains:
        return f"{answer}; {exact}."
    gain = factor_text(statistics.geometric_mean(gains))
    return f"{answer}: {gain} times as fast as PyTorch in fp32; {exact}."


def _warnings(found: Tuning) -> list[str]:
    """Returns warnings about the reliability of the times; empty if there are none."""
    from inferox.report.summary import NOISE_HINT, NOISY

    share, name = max(((share, name) for name, share in found.noise.items()), default=(0.0, ""))
    if share <= NOISY:
        return []
    spans = f"the middle half of the times spans {100 * share:.0f}% of the median ({name})"
    return [f"The measurement is noisy: {spans}. {NOISE_HINT}"]


def _how_far(found: Tuning) -> str:
    """Says what is missing of the plan, and why; empty if everything was measured."""
    from inferox.measuring import Ending

    if found.ending is Ending.COMPLETE:
        return ""
    is_stopped = found.ending is Ending.INTERRUPTED
    why, hint = ("stopped", "") if is_stopped else ("time ran out", "; --seconds allows more time")
    if found.unreached:
        shapes = ", ".join(f"{rows} x {length}" for rows, length in found.unreached)
        return f"{why} before these shapes were measured: {shapes}{hint}"
    return f"{why} after {found.rounds} of {found.planned_rounds} rounds{hint}"
