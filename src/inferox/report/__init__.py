"""What was measured, as a page: pure functions from data to text."""

from inferox.report.page import render_report

__all__ = ["render_report"]
