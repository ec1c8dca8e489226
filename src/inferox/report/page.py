"""A comparison as one self-contained HTML page: no network, no fonts, no scripts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

from inferox.core import counted
from inferox.machine import threads_text
from inferox.measuring.comparison import ArtifactMeasurement, Comparison, Spread
from inferox.parity import TOLERANCES, ParityClass
from inferox.report.badge import parity_badge
from inferox.report.bars import throughput_bars
from inferox.report.elements import Markup, breakable, element, join
from inferox.report.marks import choose_looks, swatch
from inferox.report.plots import Look, latency_plot, memory_plot
from inferox.report.quantities import bytes_text, date_text, seconds_text, three_digits
from inferox.report.spreads import medians_text, spread_text
from inferox.report.summary import (
    agreeing,
    answer,
    describe_quickest,
    how_far,
    recommend,
    short_names,
    warnings,
)


def render_report(comparison: Comparison) -> str:
    """Renders a comparison.

    Args:
        comparison: The measurements.

    Returns:
        The page: HTML with its style and plots embedded. All content from the package is escaped.
    """
    title = f"{comparison.name}: runtimes compared"
    looks = _looks(comparison)
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
            throughput_bars(comparison, looks),
            _plots(comparison, looks),
            _table(comparison, looks),
            _not_run(comparison),
            _facts(comparison),
            _method(comparison),
        ),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _looks(comparison: Comparison) -> dict[str, Look]:
    indices = choose_looks([item.artifact for item in comparison.listed])
    labels = short_names(comparison)
    return {
        item.artifact: Look(number, labels[item.artifact], indices[item.artifact])
        for number, item in enumerate(comparison.listed, 1)
    }


def _answer(comparison: Comparison) -> Markup:
    best = agreeing(comparison)[0].artifact
    sentence = element("p", element("strong", best), answer(comparison).removeprefix(best), class_="answer")
    quickest = element("p", describe_quickest(comparison), class_="further")
    cards = [
        element(
            "li",
            element("small", f"For {item.purpose}"),
            element("strong", item.figure),
            element("span", *breakable(item.artifact)),
            *([element("small", *breakable(item.ties_text))] if item.ties else []),
        )
        for item in recommend(comparison)
    ]
    proven = "" if comparison.proof is None else str(comparison.proof)
    proof = [element("p", f"{proven[:1].upper()}{proven[1:]}.", class_="note")] if proven else []
    head = element("h1", comparison.name)
    began = date_text(comparison.started_at)
    where = f"{comparison.machine.processor}, {counted(comparison.threads, 'thread')}, {began}"
    return element(
        "header",
        element("p", "Runtimes compared by Inferox", class_="kicker"),
        head,
        element("p", element("small", where)),
        sentence,
        quickest,
        element("p", _LEAD, class_="note"),
        *proof,
        element("ul", *cards, class_="cards"),
        element("p", *_with_code(_NEXT), class_="next"),
        _cautions([*warnings(comparison), *how_far(comparison)]),
    )


def _cautions(texts: Sequence[str]) -> Markup:
    """Makes one block of all that limits the figures; empty if nothing does."""
    if not texts:
        return Markup("")
    return element("ul", *(element("li", *_with_code(text)) for text in texts), class_="cautions")


def _with_code(text: str) -> list[str]:
    """Marks options and commands in a sentence, such as ``--seconds`` and ``inferox tune``, as code."""
    return [
        element("code", part) if index % 2 else part
        for index, part in enumerate(re.split(r"((?<!\S)(?:--[a-z][a-z-]*|inferox [a-z]+))", text))
    ]


def _facts(comparison: Comparison) -> Markup:
    machine = comparison.machine
    versions = [
        f"{item.artifact.partition('/')[0]} {item.runtime_version}"
        for item in comparison.listed
        if item.runtime_version
    ]
    busy = comparison.other_busy_cores
    processor = machine.processor + (f" ({', '.join(machine.instructions)})" if machine.instructions else "")
    facts = {
        "Package": f"{comparison.name}, version {comparison.version}, digest {comparison.digest[:12]}",
        "Task": comparison.task,
        "Threads": f"{comparison.threads} for each runtime",
        "Machine": f"{processor}, {counted(machine.cores, 'core')}, {bytes_text(machine.memory_bytes)}, "
        f"{machine.system}",
        "Versions": ", ".join((f"inferox {machine.inferox}", f"Python {machine.python}", *sorted(set(versions)))),
        "Price": None if comparison.price_per_hour is None else f"{comparison.price_per_hour:g} for an hour",
        "Other programs": None if busy is None else f"kept {_cores_text(busy)} busy when the comparison began",
        "Measured": f"{date_text(comparison.started_at)}, in {seconds_text(comparison.duration_s)}",
    }
    listed = [join((element("dt", name), element("dd", text))) for name, text in facts.items() if text]
    return element("section", element("h2", "Package and machine"), element("dl", *listed))


def _cores_text(busy: float) -> str:
    return f"{busy:.1f} cores" if busy >= 0.05 else "no core"  # noqa: PLR2004 - rounded, it is not 0.0


_COLUMNS = ("Artifact", "Load", "First result", "One row", "Rows/s", "Tokens/s", "Peak memory", "On disk", "Parity")


def _table(comparison: Comparison, looks: Mapping[str, Look]) -> Markup:
    first = comparison.artifacts[0]
    with_tokens = first.throughput.tokens is not None
    columns = [name for name in _COLUMNS if with_tokens or name != "Tokens/s"]
    head = element("tr", *(element("th", name, scope="col", role="columnheader") for name in columns), role="row")
    rows = [_row(comparison, item, columns, looks[item.artifact]) for item in comparison.listed]
    length = first.one_row.length
    caption = element(
        "caption",
        f"Load and first result: {medians_text(comparison.starts, 'start')}. "
        f"The other times and rates: {medians_text(comparison.rounds, 'round')}. "
        + (f"One row has {counted(length, 'token')}. " if length else "")
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


def _row(comparison: Comparison, item: ArtifactMeasurement, columns: list[str], look: Look) -> Markup:
    tokens_per_s = item.throughput.tokens_per_s
    cells: dict[str, tuple[str, str]] = {
        "Load": _seconds(item.load_s),
        "First result": _seconds(item.first_result_s),
        "One row": _seconds(item.one_row.seconds),
        "Rows/s": _rate(item.throughput.rows_per_s),
        "Tokens/s": _rate(tokens_per_s) if tokens_per_s else ("–", ""),
        "Peak memory": ("–" if item.peak_memory_bytes is None else bytes_text(item.peak_memory_bytes), ""),
        "On disk": (
            "–" if item is comparison.peer else bytes_text(item.size_bytes),
            _shared_text(item),
        ),
    }
    name = element(
        "th",
        swatch(look.index),
        element("b", f"{look.number} "),
        element("span", *breakable(item.artifact)),
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
        )
        for column in columns[1:-1]
    ]
    parity = element("td", parity_badge(comparison, item), data_label=columns[-1], role="cell")
    return element("tr", name, *rest, parity, role="row")


def _shared_text(item: ArtifactMeasurement) -> str:
    shared = bytes_text(item.shared_bytes)
    return f"{'all' if shared == bytes_text(item.size_bytes) else shared} shared" if item.shared_bytes else ""


def _seconds(spread: Spread) -> tuple[str, str]:
    return seconds_text(spread.median), spread_text(spread, seconds_text)


def _rate(spread: Spread) -> tuple[str, str]:
    return three_digits(spread.median), spread_text(spread, three_digits)


def _plots(comparison: Comparison, looks: Mapping[str, Look]) -> Markup:
    drawn = (memory_plot(comparison, looks), latency_plot(comparison, looks))
    shown = [figure for figure in drawn if figure is not None]
    return element("div", *shown, class_="plots") if shown else Markup("")


def _not_run(comparison: Comparison) -> Markup:
    if not comparison.not_run:
        return Markup("")
    listed = [
        join((element("dt", *breakable(name)), element("dd", reason))) for name, reason in comparison.not_run.items()
    ]
    return element("section", element("h2", "Not run here"), element("dl", *listed, class_="reasons"))


def _method(comparison: Comparison) -> Markup:
    throughput = comparison.artifacts[0].throughput
    tokens = throughput.tokens
    rows = f"{counted(throughput.rows, 'row')} of mixed lengths"
    rows += f", {counted(tokens, 'token')} in all" if tokens else ""
    text = _METHOD.format(
        threads=threads_text(comparison.threads),
        rounds=counted(comparison.rounds, "round"),
        starts=comparison.starts,
        rows=rows,
        included=", tokenising included" if tokens else "",
        exact=TOLERANCES[ParityClass.EXACT].max_rel,
    )
    if comparison.peer is not None:
        text += _PEER_METHOD.format(peer=comparison.peer.artifact)
    notes = [element("li", note) for note in text.splitlines() if note]
    return element("section", element("h2", "How it was measured"), element("ul", *notes, class_="notes"))


_LEAD = (
    "An artifact is the model for one runtime, in one precision and layout: runtime/format/precision/layout. Packed "
    "artifacts compute no padding; padded ones fill the rows of a batch up to the longest."
)

_NEXT = "This only measures: inferox tune chooses what is loaded on this machine, and inferox explain shows the choice."

_METHOD = """
Each artifact ran in a process of its own, with a budget of {threads}. Only one computed at a time, and every \
measurement went round all artifacts before the next began, in {rounds}.
Load and first result were timed in fresh processes, {starts} for each artifact. Load includes importing the runtime; \
first result counts from the start of the process.
Two are alike within the noise where the median of one lies within the range of the other.
Rows/s is measured on one call with {rows}, from the items to the answers{included}. Each artifact divides them into \
batches of like length by itself, as it does in any call.
Peak memory is the most resident memory of the process while speed was measured; the interpreter, and pages shared \
with other processes, are part of it. A file on disk that several artifacts read counts towards each of them, and is \
listed as shared.
Parity compares with what the model itself computed in fp32 when it was packed, measured again here on \
the package's samples; it is exact up to {exact:.0e} of the largest value.
"""

_PEER_METHOD = """
{peer} was given the same model and texts, with PyTorch in fp32 on the CPU and the same threads. It sorted them by \
length and padded batches of 32, as it does by default: the fewer texts there are in a call, the more of what it \
computes is padding. With thousands of texts, it comes closer to the artifacts. Its vectors matched those that it gave \
when the model was packed, by which the package is proven.
"""
