"""A comparison as one page of HTML that needs nothing else: no network, no fonts, no scripts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from inferox.machine import threads_text
from inferox.measuring.comparison import ArtifactMeasurement, Comparison, Spread
from inferox.report.bars import throughput_bars
from inferox.report.charts import colour_class, mark
from inferox.report.elements import Markup, element, join
from inferox.report.plots import latency_plot, memory_plot
from inferox.report.quantities import bytes_text, seconds_text, three_digits
from inferox.report.summary import agreeing, answer, how_far, recommend, warnings


def render_report(comparison: Comparison) -> str:
    """Renders a comparison.

    Args:
        comparison: What was measured.

    Returns:
        The page: HTML with its style and its plots in it. Whatever came with the package is escaped.
    """
    title = f"{comparison.name}: runtimes compared"
    colours = {name: index for index, name in enumerate(sorted(item.artifact for item in comparison.artifacts))}
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(files("inferox.report").joinpath("style.css").read_text(encoding="utf-8"))),
    )
    body = element(
        "body",
        element(
            "main",
            _answer(comparison),
            throughput_bars(comparison),
            _plots(comparison, colours),
            _table(comparison, colours),
            _not_run(comparison),
            _facts(comparison),
            _method(comparison),
        ),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _answer(comparison: Comparison) -> Markup:
    best = agreeing(comparison)[0].artifact
    sentence = element("p", element("strong", best), answer(comparison).removeprefix(best), class_="answer")
    cards = [
        element(
            "li",
            element("small", f"For {item.purpose}"),
            element("strong", item.figure),
            element("span", *_breakable(item.artifact)),
        )
        for item in recommend(comparison)
    ]
    cautions = [element("p", text, class_="warning") for text in (*warnings(comparison), *how_far(comparison))]
    return element("header", element("h1", comparison.name), sentence, element("ul", *cards, class_="cards"), *cautions)


def _facts(comparison: Comparison) -> Markup:
    machine = comparison.machine
    versions = [
        f"{item.artifact.partition('/')[0]} {item.runtime_version}"
        for item in comparison.artifacts
        if item.runtime_version
    ]
    facts = {
        "Package": f"{comparison.name}, version {comparison.version}, digest {comparison.digest[:12]}",
        "Task": comparison.task,
        "Proof": None if comparison.proof is None else str(comparison.proof),
        "Threads": f"{comparison.threads} for each runtime",
        "Machine": f"{machine.processor}, {machine.cores} cores, {bytes_text(machine.memory_bytes)}, {machine.system}",
        "Versions": ", ".join((f"inferox {machine.inferox}", f"Python {machine.python}", *sorted(set(versions)))),
        "Measured": f"{comparison.started_at}, in {seconds_text(comparison.duration_s)}",
    }
    listed = [join((element("dt", name), element("dd", text))) for name, text in facts.items() if text]
    return element("section", element("h2", "What was measured, and where"), element("dl", *listed))


_COLUMNS = ("Artifact", "Load", "First result", "One row", "Rows/s", "Tokens/s", "Peak memory", "On disk", "Parity")


def _table(comparison: Comparison, colours: Mapping[str, int]) -> Markup:
    first = comparison.artifacts[0]
    with_tokens = first.throughput.tokens is not None
    columns = [name for name in _COLUMNS if with_tokens or name != "Tokens/s"]
    head = element("tr", *(element("th", name, scope="col", role="columnheader") for name in columns), role="row")
    rows = [_row(item, columns, colours[item.artifact]) for item in comparison.artifacts]
    length = first.one_row.length
    caption = element(
        "caption",
        f"Load and first result: {_starts(comparison.starts)}. The other times and rates: medians of "
        f"{comparison.rounds} rounds, with their middle half below. "
        + (f"One row has {length} tokens. " if length else "")
        + "The fastest with rows of mixed lengths comes first.",
    )
    table = element(
        "table",
        caption,
        element("thead", head, role="rowgroup"),
        element("tbody", *rows, role="rowgroup"),
        role="table",
    )
    return element("section", element("h2", "All figures"), table)


def _starts(starts: int) -> str:
    many = f"medians of {starts} starts, with their middle half below"
    return "of a single start" if starts == 1 else many


def _row(item: ArtifactMeasurement, columns: list[str], colour: int) -> Markup:
    tokens_per_s = item.throughput.tokens_per_s
    cells = {
        "Load": _seconds(item.load_s),
        "First result": _seconds(item.first_result_s),
        "One row": _seconds(item.one_row.seconds),
        "Rows/s": _rate(item.throughput.rows_per_s),
        "Tokens/s": _rate(tokens_per_s) if tokens_per_s else ("–", ""),
        "Peak memory": ("–" if item.peak_memory_bytes is None else bytes_text(item.peak_memory_bytes), ""),
        "On disk": (
            bytes_text(item.size_bytes),
            f"{bytes_text(item.shared_bytes)} shared" if item.shared_bytes else "",
        ),
        "Parity": _parity(item),
    }
    swatch = element(
        "svg",
        mark(colour, 6, 6),
        viewBox="0 0 12 12",
        width=12,
        height=12,
        aria_hidden="true",
        class_=colour_class(colour),
    )
    name = element(
        "th",
        swatch,
        element("span", *_breakable(item.artifact)),
        element("small", f"on {item.device}"),
        scope="row",
        role="rowheader",
    )
    rest = [
        element(
            "td",
            element("span", cells[column][0], class_="figure"),
            element("small", cells[column][1]),
            data_label=column,
            role="cell",
            class_="fail" if cells[column][0] == "fail" else None,
        )
        for column in columns[1:]
    ]
    return element("tr", name, *rest, role="row")


def _breakable(name: str) -> list[str]:
    """A name that may be broken after each slash."""
    parts = name.split("/")
    return [*(join((f"{part}/", Markup("<wbr>"))) for part in parts[:-1]), parts[-1]]


def _seconds(spread: Spread) -> tuple[str, str]:
    text = f"{seconds_text(spread.low)} – {seconds_text(spread.high)}" if spread.range else ""
    return seconds_text(spread.median), text


def _rate(spread: Spread) -> tuple[str, str]:
    text = f"{three_digits(spread.low)} – {three_digits(spread.high)}" if spread.range else ""
    return three_digits(spread.median), text


def _parity(item: ArtifactMeasurement) -> tuple[str, str]:
    if item.evidence is None:
        return "–", "no samples"
    agreement = item.evidence.agreement
    beside = "" if item.evidence.batch is None else f", {item.evidence.batch}"
    weak = "" if item.evidence.weak is None else f"; weak evidence: {item.evidence.weak}"
    figures = f"max abs {agreement.max_abs:.1e}, cosine {agreement.cosine_min:.6f}{beside}{weak}"
    return item.evidence.parity_class.value, figures


def _plots(comparison: Comparison, colours: Mapping[str, int]) -> Markup:
    drawn = (memory_plot(comparison, colours), latency_plot(comparison, colours))
    shown = [figure for figure in drawn if figure is not None]
    return element("div", *shown, class_="plots") if shown else Markup("")


def _not_run(comparison: Comparison) -> Markup:
    if not comparison.not_run:
        return Markup("")
    listed = [
        join((element("dt", *_breakable(name)), element("dd", reason))) for name, reason in comparison.not_run.items()
    ]
    return element("section", element("h2", "Not run here"), element("dl", *listed, class_="reasons"))


def _method(comparison: Comparison) -> Markup:
    throughput = comparison.artifacts[0].throughput
    rows = f"{throughput.rows:,} rows" + (f" of {throughput.tokens:,} tokens" if throughput.tokens else "")
    text = _METHOD.format(
        threads=threads_text(comparison.threads), rounds=comparison.rounds, starts=comparison.starts, rows=rows
    )
    notes = [element("li", note) for note in text.strip().splitlines()]
    return element("section", element("h2", "How it was measured"), element("ul", *notes, class_="notes"))


_METHOD = """
Each artifact ran in a process of its own, with a budget of {threads}. Only one computed at a time, and every \
measurement went round all artifacts before the next began, in {rounds} rounds.
Load and first result were timed in fresh processes, {starts} for each artifact. Load includes importing the runtime; \
first result counts from the start of the process.
Rows/s is measured on {rows}, of mixed lengths, from the items to the answers.
Peak memory is the most resident memory of the process while speed was measured; the interpreter, and pages shared \
with other processes, are part of it. Files on disk that several artifacts read are counted for each, and shared.
Parity compares with what the model itself computed in fp32 when it was packed, measured again here on \
the package's samples.
"""
