"""The report of a load benchmark, as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files

from inferox.bench import LoadReport, LoadStep
from inferox.bench.results import PERCENTILES
from inferox.core import counted
from inferox.report.axes import Axis
from inferox.report.charts import Caption, Point, Series, line_chart
from inferox.report.elements import Markup, element
from inferox.report.quantities import bytes_text, seconds_text, three_digits
from inferox.report.scales import linear_scale_from_zero, log_scale

_MOST_TICKS = 6


def render_load_report(report: LoadReport) -> str:
    """Renders the report of a load benchmark.

    Args:
        report: The report.

    Returns:
        The page: HTML with its style and plots embedded. All content from the package is escaped.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{report.name}: under load"),
        element("style", Markup(files("inferox.report").joinpath("style.css").read_text(encoding="utf-8"))),
    )
    closed = [step for step in report.steps if step.callers is not None and step.latency_s]
    opened = [step for step in report.steps if step.offered_per_s is not None and step.latency_s]
    plots = [
        *([_throughput_plot(closed), _latency_plot(closed, "callers")] if len(closed) > 1 else []),
        *([_latency_plot(opened, "requests/s")] if len(opened) > 1 else []),
    ]
    shown = element("div", *plots, class_="plots") if plots else Markup("")
    body = element("body", element("main", _header(report), _table(report.steps), shown))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _header(report: LoadReport) -> Markup:
    machine = report.machine
    facts = {
        "Task": report.task,
        **({} if report.url is None else {"Server": f"{report.url} ({report.api})"}),
        **({} if report.artifact is None else {"Artifact": report.artifact}),
        **({} if report.threads is None else {"Threads": str(report.threads)}),
        "Machine": f"{machine.processor}, {counted(machine.cores, 'core')}, {bytes_text(machine.memory_bytes)}, "
        f"{machine.system}",
        "Versions": f"inferox {machine.inferox}, Python {machine.python}",
    }
    what = "An engine" if report.url is None else "A server"
    items = "one item each" if report.rows == 1 else f"{counted(report.rows, 'item')} each"
    listed = [part for name, text in facts.items() for part in (element("dt", name), element("dd", text))]
    lead = element("p", f"{what} under load: requests of {items}, of mixed lengths.", class_="lead")
    return element("header", element("h1", report.name), lead, element("dl", *listed))


_COLUMNS = ("Answered/s", *(f"p{number}" for number in PERCENTILES), "Longest", "Rows of a batch", "Failed")


def _table(steps: Sequence[LoadStep]) -> Markup:
    # Roles, as narrow pages show rows as blocks, in which each cell repeats its heading.
    head = [element("th", name, scope="col", role="columnheader") for name in ("Load", *_COLUMNS)]
    rows = [element("tr", *head, role="row")]
    for step in steps:
        cells = [
            element("td", text, data_label=name, role="cell") for name, text in zip(_COLUMNS, _cells(step), strict=True)
        ]
        rows.append(element("tr", element("th", load_text(step), scope="row", role="rowheader"), *cells, role="row"))
    table = element(
        "table",
        element("thead", rows[0], role="rowgroup"),
        element("tbody", *rows[1:], role="rowgroup"),
        role="table",
    )
    return element("section", element("h2", "Results"), table)


def _cells(step: LoadStep) -> list[str]:
    times = [step.latency_s.get(name) for name in (*map(str, PERCENTILES), "max")]
    return [
        three_digits(step.answered_per_s),
        *("–" if seconds is None else seconds_text(seconds) for seconds in times),
        "–" if step.batch_rows is None else three_digits(step.batch_rows),
        str(sum(step.failed.values())),
    ]


def load_text(step: LoadStep) -> str:
    """Describes the load of a step, such as ``4 callers`` or ``120 requests/s``.

    Args:
        step: The step.
    """
    if step.callers is not None:
        return f"{step.callers} {'caller' if step.callers == 1 else 'callers'}"
    return f"{three_digits(step.offered_per_s or 0.0)} requests/s"


def _place(step: LoadStep) -> float:
    return float(step.callers if step.callers is not None else step.offered_per_s or 0.0)


def _throughput_plot(steps: Sequence[LoadStep]) -> Markup:
    y, ticks = linear_scale_from_zero([step.answered_per_s for step in steps], _MOST_TICKS)
    caption = Caption(
        "load-throughput", "Throughput by callers", "Each caller sends its next request as soon as it has an answer."
    )
    series = [_series("answered", 0, steps, lambda step: step.answered_per_s, three_digits)]
    return line_chart(caption, _across(steps, "callers"), Axis.of("answers/s", y, ticks), series)


def _latency_plot(steps: Sequence[LoadStep], unit: str) -> Markup:
    y, ticks = log_scale([1e3 * step.latency_s[str(name)] for step in steps for name in PERCENTILES], _MOST_TICKS)
    caption = Caption(
        f"load-latency-{unit.partition('/')[0]}",
        f"Latency by {unit}",
        "Percentiles of the time to an answer. Both axes are logarithmic.",
    )
    series = [
        _series(
            f"p{name}",
            look,
            steps,
            lambda step, name=name: 1e3 * step.latency_s[str(name)],  # type: ignore[misc]
            lambda value: seconds_text(value / 1e3),
        )
        for look, name in enumerate(PERCENTILES)
    ]
    return line_chart(caption, _across(steps, unit), Axis.of("latency, ms", y, ticks), series)


def _across(steps: Sequence[LoadStep], unit: str) -> Axis:
    scale, ticks = log_scale([_place(step) for step in steps], _MOST_TICKS)
    return Axis.of(unit, scale, ticks)


def _series(
    name: str, look: int, steps: Sequence[LoadStep], read: Callable[[LoadStep], float], write: Callable[[float], str]
) -> Series:
    points = []
    for step in sorted(steps, key=_place):
        value = read(step)
        points.append(Point(_place(step), value, f"{load_text(step)}: {name} {write(value)}", value, value))
    return Series(name, look + 1, name, look, points)
