"""Numbers formatted for people."""

from __future__ import annotations

from datetime import UTC, datetime

# Not of the calendar module, whose names follow the locale.
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")
_SECOND_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_HUNDRED = 100


def bytes_text(size_bytes: int) -> str:
    """Formats a size, such as ``90.9 MB``; in decimal units, as is usual for disks and downloads."""
    size = float(size_bytes)
    for unit in _BYTE_UNITS[:-1]:
        if size < 1000:  # noqa: PLR2004 - the step of decimal units
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} {_BYTE_UNITS[-1]}"


def seconds_text(seconds: float) -> str:
    """Formats a time with three significant digits, such as ``3.21 ms`` or ``14.2 s``."""
    factor, unit = next((item for item in _SECOND_UNITS if abs(seconds) >= item[0]), _SECOND_UNITS[-1])
    return f"{three_digits(seconds / factor)} {unit}"


def three_digits(value: float) -> str:
    """Formats a number with three significant digits and a thousands separator: ``0.0123``, ``4.56``, ``12,300``."""
    size = abs(value)
    if size >= _HUNDRED:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:#.3g}" if size >= 1e-3 or value == 0 else f"{value:.1e}"  # noqa: PLR2004 - fewer zeros than digits


def factor_text(value: float) -> str:
    """Formats a ratio of two measurements with two digits, as noise seldom leaves more: ``0.94``, ``3,400``."""
    is_large = value >= 9.95  # noqa: PLR2004 - rounded, it has two digits before the point
    return f"{float(f'{value:.2g}'):,.0f}" if is_large else f"{value:#.2g}"


def date_text(moment: str) -> str:
    """Formats a moment for people, such as ``1 March 2026, 14:05 UTC``.

    Args:
        moment: The moment as ISO 8601, with its offset.
    """
    at = datetime.fromisoformat(moment).astimezone(UTC)
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}, {at:%H:%M} UTC"


def axis_text(value: float) -> str:
    """Formats the number of a tick as short as possible: ``0.5``, ``20``, ``1,000``, ``1e-7``."""
    if value and abs(value) < 1e-3:  # noqa: PLR2004 - fewer zeros than digits
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:,.10g}"
