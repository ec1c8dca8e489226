"""``inferox verify``: measures the parity evidence of a package again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inferox.cli.evidence_json import shorten_evidence
from inferox.cli.interrupts import interruptible
from inferox.cli.isolation import IsolatableCommand
from inferox.cli.left_out import say_left_out
from inferox.cli.number_types import POSITIVE
from inferox.cli.options import (
    debug_option,
    json_option,
    rows_option,
    signature_option,
    tolerance_option,
    trust_code_option,
)
from inferox.cli.progress import showing_progress
from inferox.cli.terminal import make_console, say
from inferox.cli.time_limit import time_limit

if TYPE_CHECKING:
    from inferox.measuring import Verification
    from inferox.parity import Limits

EXIT_MISSED = 3


@click.command(
    cls=IsolatableCommand,
    short_help="Measure the evidence of a package again on this machine.",
    epilog="Example: inferox verify minilm.mlpkg --backend onnxruntime",
)
@click.argument("package")
@click.option("--backend", default="auto", show_default=True, help="The only backend to measure; auto for all.")
@click.option("--device", help="Where to run, such as cuda:0. By default each backend's own choice.")
@click.option("--precision", help="The only precision to measure. By default all.")
@tolerance_option
@click.option("--threads", type=click.IntRange(min=1), help="The number of CPU threads of each runtime.")
@click.option(
    "--seconds",
    type=POSITIVE,
    help="How long it may take, from start to end. Artifacts not reached are listed, and do not pass. By default "
    "there is no limit.",
)
@trust_code_option
@signature_option
@json_option
@rows_option
@debug_option
def verify(
    package: str,
    *,
    backend: str,
    device: str | None,
    precision: str | None,
    tolerance: Limits | None,
    threads: int | None,
    seconds: float | None,
    trust_code: bool,
    require_signature: Path | None,
    as_json: bool,
    with_rows: bool,
) -> None:
    """Run every artifact of a package on its samples, and compare with what the model itself computed when packed.

    Ends with exit code 3 if an artifact misses its tolerance, fails on an installed runtime, or is not reached within
    the time. If Ctrl-C stops it, the measurements so far are shown.
    """
    from inferox.measuring import Ending
    from inferox.measuring import verify as measure_again

    within = "" if seconds is None else f", within {seconds:g} s (--seconds)"
    with showing_progress(
        "opening the package", plan=f"verifying {package}: every artifact on the stored samples{within}"
    ) as show:
        found = measure_again(
            package,
            backend,
            device,
            precision,
            tolerance=tolerance,
            threads=threads,
            trust_code=trust_code,
            require_signature=require_signature,
            seconds=time_limit(seconds),
            progress=interruptible(show),
        )
    if as_json:
        import json

        evidence = shorten_evidence((item.to_json() for item in found.evidence), with_rows=with_rows)
        proof = {
            "from_input": None if found.proof is None else found.proof.to_json(),
            "repeated": {artifact: item.to_json() for artifact, item in found.repeated.items()},
        }
        reasons = {"not_run": dict(found.not_run), "failed": dict(found.failed)}
        how_far = {"ending": found.ending, "unreached": list(found.unreached)}
        click.echo(
            json.dumps(
                {"name": found.name, "passed": found.passed, "artifacts": evidence, **proof, **reasons, **how_far}
            )
        )
    else:
        from inferox.cli.tables import evidence_table

        if found.evidence:
            make_console().print(evidence_table(found.evidence))
        for line in _proof_lines(found):
            say(line)
        for artifact, reason in found.failed.items():
            say(f"failed: {artifact}: {reason}")
        for artifact in found.unreached:
            say(f"not reached: {artifact}")
    say_left_out(found.not_run, "not run", as_json=as_json)
    if found.ending is Ending.INTERRUPTED:
        _report_misses(found)
        raise KeyboardInterrupt
    if not found.passed:
        _report_misses(found)
        sys.exit(EXIT_MISSED)


def _proof_lines(found: Verification) -> list[str]:
    if found.proof is None:
        return ["from text or image: not recorded when it was packed"]
    lines = [str(found.proof)]
    lines += [
        f"  {artifact} gives the answers of {found.proof.library} from {found.proof.source} again: {item}"
        if item.difference is None
        else f"  {artifact} does not give the answers of {found.proof.library} from {found.proof.source}: {item}"
        for artifact, item in found.repeated.items()
    ]
    return lines


def _report_misses(found: Verification) -> None:
    hint = "" if found.ending == "interrupted" else ": allow more time with --seconds"
    for artifact in found.unreached:
        say(f"inferox: {artifact} was not reached{hint}", err=True)
    for artifact, reason in found.failed.items():
        say(f"inferox: {artifact} fails: {reason}", err=True)
    for artifact, repeated in found.repeated.items():
        if repeated.difference is not None:
            say(f"inferox: {artifact} does not repeat the proof: {repeated.difference}", err=True)
    for item in found.evidence:
        if item.parity_class.value == "fail":
            say(f"inferox: {item.artifact} misses its tolerance: {item.agreement}", err=True)
            for row in item.missed_rows():
                say(f"  {row}", err=True)
