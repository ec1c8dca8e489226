"""Tables of results, as wide as they need where no terminal limits them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

_WIDE = 200
"""The columns of a pipe or file, where rich would assume 80 and cut the numbers."""


def show(table: Table) -> None:
    """Prints a table.

    Args:
        table: The table.
    """
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)
