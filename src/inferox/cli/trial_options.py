"""The options of ``inferox serve`` for artifacts that are tried beside the one that serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inferox.cli.number_types import NOT_NEGATIVE, SHARE

if TYPE_CHECKING:
    from inferox.engine import Canary, Offer, Shadow

Command = TypeVar("Command", bound=Callable[..., Any])


def trial_options(command: Command) -> Command:
    """Adds ``--shadow`` and ``--canary``, with the limits of a canary, and ``--offer-artifacts``."""
    options = (
        click.option(
            "--shadow",
            metavar="BACKEND[:PRECISION]=SHARE",
            help="Compute a share of the requests again on another artifact, after they are answered, and measure how "
            "far its answers are away: onnxruntime=0.1 takes a tenth.",
        ),
        click.option(
            "--canary",
            metavar="BACKEND[:PRECISION]=SHARE",
            help="Answer a share of the requests by another artifact, until it fails or drifts too far.",
        ),
        click.option(
            "--canary-drift",
            type=NOT_NEGATIVE,
            help="How far the canary's answers may be away in the mean: 1 - cosine of vectors, or the difference of "
            "scores. By default what its parity class allows.",
        ),
        click.option(
            "--canary-errors",
            type=SHARE,
            help="The share of the canary's requests that may fail; by default 0.05. Their answers come from the "
            "artifact that serves.",
        ),
        click.option(
            "--canary-any-space",
            is_flag=True,
            help="Let the canary answer with vectors of another embedding space, as int8 has it.",
        ),
        click.option(
            "--offer-artifacts",
            metavar="BACKEND[:PRECISION],…",
            help="Other artifacts that a request may ask for, by the header Inferox-Artifact. Each takes memory.",
        ),
    )
    for option in reversed(options):  # as decorators are applied
        command = option(command)
    return command


def read_trials(
    shadow: str | None, canary: str | None, drift: float | None, errors: float | None, *, any_space: bool
) -> dict[str, Shadow | Canary]:
    """Reads the options.

    Args:
        shadow: What ``--shadow`` says.
        canary: What ``--canary`` says.
        drift: What ``--canary-drift`` says.
        errors: What ``--canary-errors`` says.
        any_space: Whether ``--canary-any-space`` is given.

    Returns:
        Those arguments of ``Engine.load`` that are asked for.

    Raises:
        ConfigError: If one is of another form.
        UsageError: If something is said of a canary that there is not.
    """
    from inferox.engine import Canary, Shadow
    from inferox.engine.trials.options import ERROR_LIMIT, parse_trial

    trials: dict[str, Shadow | Canary] = {}
    if shadow is not None:
        backend, precision, share = parse_trial(shadow, "--shadow")
        trials["shadow"] = Shadow(backend=backend, precision=precision, share=share)
    if canary is not None:
        backend, precision, share = parse_trial(canary, "--canary")
        trials["canary"] = Canary(
            backend=backend,
            precision=precision,
            share=share,
            drift_limit=drift,
            error_limit=ERROR_LIMIT if errors is None else errors,
            any_space=any_space,
        )
    elif drift is not None or errors is not None or any_space:
        raise click.UsageError(
            "--canary-drift, --canary-errors and --canary-any-space are said of a canary: add --canary"
        )
    return trials


def read_offers(text: str | None) -> tuple[Offer, ...]:
    """Reads ``--offer-artifacts``.

    Args:
        text: What it says; ``None`` where it is not given.

    Raises:
        ConfigError: If it is of another form.
    """
    from inferox.engine.trials.options import parse_offers

    return () if text is None else parse_offers(text, "--offer-artifacts")
