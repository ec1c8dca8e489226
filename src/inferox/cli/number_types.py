"""Types of numbers that options take."""

from __future__ import annotations

import math
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A range of finite numbers: of ``click.FloatRange``, ``nan`` passes any bound, and ``inf`` where there is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Reads a number; see ``click.ParamType.convert``.

        Args:
            value: The text, or a number.
            param: The option.
            ctx: The context of the command.

        Raises:
            click.BadParameter: If it is not a finite number, or out of the range.
        """
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


POSITIVE = FiniteRange(min=0, min_open=True)
"""More than 0."""

NOT_NEGATIVE = FiniteRange(min=0)
"""0 or more."""

SHARE = FiniteRange(0, 1)
"""From 0 to 1."""
