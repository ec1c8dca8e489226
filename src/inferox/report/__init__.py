"""HTML pages of measurements: pure functions from data to text."""

from inferox.report.load_page import render_load_report
from inferox.report.page import render_report

__all__ = ["render_load_report", "render_report"]
