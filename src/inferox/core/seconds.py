"""The range of times that callers may state."""

from __future__ import annotations

LONGEST_S = 365 * 24 * 3600.0
"""The longest time that a setting, a deadline or a timeout may state: every timer can handle a year, and each half of a
connection takes what the other may ask for."""
