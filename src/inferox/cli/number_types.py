"""Click parameter types for numbers."""

from __future__ import annotations

import math
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A range of finite numbers: ``click.FloatRange`` accepts ``nan``, and ``inf`` without an upper bound."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parses a number; see ``click.ParamType.convert``.

        Args:
            value: The text, or a number.
            param: The option.
            ctx: The context of the command.

        Returns:
            The number.

        Raises:
            click.BadParameter: If it is not a finite number, or out of range.
        """
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


POSITIVE = FiniteRange(min=0, min_open=True)
"""Numbers above 0."""

NOT_NEGATIVE = FiniteRange(min=0)
"""Numbers from 0 up."""

SHARE = FiniteRange(0, 1)
"""Numbers from 0 to 1."""
