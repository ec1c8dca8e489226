"""The results of a run: counts by file and ending, and every violation with the command that repeats it."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.fuzz.cases import ANSWERED, Selection
from tests.fuzz.workers import Outcome

_SLOWEST = 5


@dataclass
class Results:
    """The outcomes of a run.

    Attributes:
        selection: The cases.
        endings: The number of cases by file and ending.
        violations: The cases that ended in a forbidden way.
        slowest: The cases that took longest.
        is_interrupted: Whether the run was ended from outside before its last case.
    """

    selection: Selection
    endings: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    violations: list[Outcome] = field(default_factory=list)
    slowest: list[Outcome] = field(default_factory=list)
    is_interrupted: bool = False

    def add(self, outcome: Outcome) -> None:
        """Counts an outcome."""
        if outcome.is_violation:
            self.violations.append(outcome)
        else:
            self.endings[outcome.case.family][outcome.ending] += 1
        self.slowest = sorted((*self.slowest, outcome), key=lambda item: -item.seconds)[:_SLOWEST]

    @property
    def count(self) -> int:
        """The number of cases that have ended."""
        return sum(counts.total() for counts in self.endings.values()) + len(self.violations)

    @property
    def families(self) -> list[str]:
        """The files, and ``archive`` and ``image``."""
        return sorted({*self.endings, *(item.case.family for item in self.violations)})

    def to_json(self) -> dict[str, Any]:
        """The results for programs."""
        chosen = self.selection
        return {
            "cases": self.count,
            "interrupted": self.is_interrupted,
            "changes_to_fields": [chosen.fields_tried, chosen.fields],
            "changes_to_places": [chosen.places_tried, chosen.places],
            "endings": {name: dict(self.endings[name]) for name in self.families},
            "violations": [
                {"case": item.case.name, "ending": item.ending, "details": item.details, "repeat": repeat_line(item)}
                for item in self.violations
            ],
            "slowest": [{"case": item.case.name, "seconds": round(item.seconds, 3)} for item in self.slowest],
        }

    def print(self, console: Console) -> None:
        """Prints the results for people."""
        table = Table("file", title="Endings", title_justify="left")
        for heading in ("cases", "answered"):
            table.add_column(heading, justify="right")
        table.add_column("errors of Inferox")
        table.add_column("violations", justify="right")
        for name in self.families:
            counts = self.endings[name]
            violations = sum(item.case.family == name for item in self.violations)
            errors = ", ".join(f"{error} {n:,}" for error, n in counts.most_common() if error != ANSWERED)
            total = sum(counts.values()) + violations
            table.add_row(Text(name), f"{total:,}", f"{counts[ANSWERED]:,}", errors, f"{violations:,}")
        console.print(table)
        chosen = self.selection
        if chosen.places:
            # A field is a place; places that only differ in the index of a list or in the package count once.
            console.print(
                f"{chosen.fields_tried:,} of {chosen.fields:,} changes to fields, and {chosen.places_tried:,} of "
                f"{chosen.places:,} changes to places, were tried."
            )
        if self.is_interrupted:
            console.print(f"interrupted: the other {len(chosen.cases) - self.count:,} cases were not tried")
        console.print("The slowest:")
        for outcome in self.slowest:
            console.print(Text(f"  {outcome.seconds:.1f} s  {outcome.case.name}"), soft_wrap=True)
        for outcome in self.violations:
            console.print(Text(f"\n{outcome.ending}: {outcome.case.name}", style="bold red"), soft_wrap=True)
            console.print(Text(outcome.details.rstrip()), soft_wrap=True)
            console.print(Text(f"repeat it: {repeat_line(outcome)}"), soft_wrap=True)


def repeat_line(outcome: Outcome) -> str:
    """The command that repeats a case."""
    return f".venv/bin/python -m tests.fuzz --case {shlex.quote(outcome.case.name)}"


def collect(selection: Selection, outcomes: Iterable[Outcome]) -> Results:
    """Counts all outcomes of a selection, or those so far if the user interrupts."""
    results = Results(selection)
    try:
        for outcome in outcomes:
            results.add(outcome)
    except KeyboardInterrupt:
        results.is_interrupted = True
    return results
