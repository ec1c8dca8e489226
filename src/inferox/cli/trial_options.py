"""The options of ``inferox serve`` for shadows, canaries and offered artifacts."""

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
            help="Recompute a share of the requests on another artifact, after they are answered, and measure the "
            "difference of its answers: onnxruntime=0.1 takes a tenth.",
        ),
        click.option(
            "--canary",
            metavar="BACKEND[:PRECISION]=SHARE",
            help="Answer a share of the requests with another artifact, until it fails or drifts too far.",
        ),
        click.option(
            "--canary-drift",
            type=NOT_NEGATIVE,
            help="The largest mean difference of the canary's answers: 1 - cosine for vectors, or the difference of "
            "scores. By default that of its parity class.",
        ),
        click.option(
            "--canary-errors",
            type=SHARE,
            help="The share of the canary's requests that may fail; by default 0.05. Failed ones are answered by the "
            "serving artifact.",
        ),
        click.option(
            "--canary-any-space",
            is_flag=True,
            help="Let the canary answer with vectors of another embedding space, such as those of int8.",
        ),
        click.option(
            "--offer-artifacts",
            metavar="BACKEND[:PRECISION],…",
            help="Other artifacts that a request may choose with the header Inferox-Artifact. Each takes memory.",
        ),
    )
    for option in reversed(options):  # the order in which decorators apply
        command = option(command)
    return command


def read_trials(
    shadow: str | None, canary: str | None, drift: float | None, errors: float | None, *, any_space: bool
) -> dict[str, Shadow | Canary]:
    """Reads the options of shadows and canaries.

    Args:
        shadow: The value of ``--shadow``.
        canary: The value of ``--canary``.
        drift: The value of ``--canary-drift``.
        errors: The value of ``--canary-errors``.
        any_space: Whether ``--canary-any-space`` is given.

    Returns:
        The arguments of ``Engine.load`` for those that are given.

    Raises:
        ConfigError: If a value has the wrong form.
        UsageError: If an option of a canary is given without ``--canary``.
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
        raise click.UsageError("--canary-drift, --canary-errors and --canary-any-space need --canary")
    return trials


def read_offers(text: str | None) -> tuple[Offer, ...]:
    """Reads ``--offer-artifacts``.

    Args:
        text: Its value; ``None`` if it is not given.

    Raises:
        ConfigError: If the value has the wrong form.
    """
    from inferox.engine.trials.options import parse_offers

    return () if text is None else parse_offers(text, "--offer-artifacts")
