"""The artifacts that a measurement leaves out, and why."""

from __future__ import annotations

from collections.abc import Mapping

from inferox.cli.terminal import is_redirected, say


def say_left_out(reasons: Mapping[str, str], what: str, *, as_json: bool) -> None:
    """Says what was left out, in one line for each reason.

    It is said on standard output beside a table, and on standard error with JSON or if standard output is redirected.

    Args:
        reasons: The reason for each artifact that was left out.
        what: What was not done with it, such as ``not measured``.
        as_json: Whether standard output has JSON, which states the reasons itself.
    """
    groups: dict[str, list[str]] = {}
    for artifact, reason in reasons.items():
        groups.setdefault(reason, []).append(artifact)
    for reason, artifacts in groups.items():
        line = f"{what}: {', '.join(artifacts)}: {reason}"
        if not as_json:
            say(line)
        if as_json or is_redirected():
            say(f"inferox: {line}", err=True)
