"""Tables and texts for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from inferox.core import counted, printable
from inferox.loading.profile import Profile
from inferox.machine import threads_text
from inferox.parity import ArtifactEvidence
from inferox.report.quantities import three_digits
from inferox.tasks import LabelScore, Span


def shorten(text: str, width: int) -> Text:
    """Shortens a text to one line of at most ``width`` characters, with control characters made visible."""
    line = printable(text)
    return Text(line if len(line) <= width else line[: width - 1] + "…")


def plain_table(title: str | Text = "") -> Table:
    """Makes an empty table without a frame and with narrow gaps, so that more columns fit into 80 characters.

    Args:
        title: The title.
    """
    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False
    )


def evidence_table(evidence: Sequence[ArtifactEvidence]) -> RenderableType:
    """Makes a table of each artifact's agreement with the reference, in the figures that decide its class."""
    ranks = any(item.agreement.ranking_agreement is not None for item in evidence)
    decides = ranks or any(item.agreement.argmax_agreement is not None for item in evidence)
    order = f" (order: {'ranking' if ranks else 'arg-max'})" if decides else ""
    table = plain_table(f"Agreement with the reference{order}")
    table.add_column("artifact", overflow="fold")
    table.add_column("class", no_wrap=True)
    for heading in ("max rel", "cosine", "min\ncosine", "order"):
        table.add_column(heading, justify="right", no_wrap=True)
    for item in evidence:
        agreement = item.agreement
        table.add_row(
            Text(printable(item.artifact)),
            item.parity_class.value + (" (weak)" if item.weak is not None else ""),
            f"{agreement.max_rel:.1e}",
            f"{agreement.cosine_mean:.6f}",
            f"{agreement.cosine_min:.6f}",
            _share_text(agreement.ranking_agreement if ranks else agreement.argmax_agreement),
        )
    reasons = dict.fromkeys(item.weak for item in evidence if item.weak is not None)
    if reasons:
        table.caption = Text(printable(f"weak evidence: {'; '.join(reasons)}"))
        table.caption_justify = "left"
    return Group(table, *_batch_lines(evidence))


def _batch_lines(evidence: Sequence[ArtifactEvidence]) -> list[Text]:
    """Returns lines that say which artifacts are batch invariant, and how far the outputs of the others differ."""
    measured = [(item.artifact, item.batch) for item in evidence if item.batch is not None]
    lines = [Text(printable(f"{artifact} {batch}"), style="bold") for artifact, batch in measured if not batch.holds]
    holds = [artifact for artifact, batch in measured if batch.holds]
    if holds:
        which = "All" if len(holds) == len(evidence) else ", ".join(holds)
        lines.insert(
            0, Text(printable(f"Batch invariant (a row has the same outputs alone and beside others): {which}"))
        )
    unknown = [item.artifact for item in evidence if item.batch is None]
    return [
        *lines,
        *([Text(printable(f"Not measured beside other rows: {', '.join(unknown)}"), style="dim")] if unknown else []),
    ]


def _share_text(share: float | None) -> str:
    """Formats a share as a percentage, rounded down, so that 100% means all."""
    return "–" if share is None else "100%" if share == 1 else f"{math.floor(1000 * share) / 10:.1f}%"


def profile_table(profile: Profile) -> RenderableType:
    """Makes a table of the two fastest artifacts and their times, for each measured shape of batch."""
    numbers = {name: str(number) for number, name in enumerate(sorted(profile.cells), 1)}
    title = Text(
        f"Fastest for each shape of batch, with {threads_text(profile.threads)}, in milliseconds", style="italic"
    )
    table = plain_table()
    for heading in ("rows", "length", "fastest", "", "second", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    shapes = sorted({(cell.length, cell.rows) for cells in profile.cells.values() for cell in cells})
    named = set[str]()
    for length, rows in shapes:
        times = sorted((profile.seconds(name, rows, length), name) for name in profile.cells)
        best = [(name, seconds) for seconds, name in times[:2] if seconds < float("inf")]
        cells = [text for name, seconds in best for text in (f"({numbers[name]})", three_digits(1000 * seconds))]
        table.add_row(str(rows), str(length), *cells)
        named.update(name for name, _ in best)
    return Group(title, table, Text("\n".join(f"({numbers[name]}) {name}" for name in numbers if name in named)))


def result_table(task: str, items: Sequence[Any], results: Sequence[Any]) -> RenderableType:
    """Makes a table of the results of a task.

    Args:
        task: The task's name.
        items: The items.
        results: One result per item.
    """
    if task == "embed":
        vectors = np.stack(results)
        return _similarity_table(items, vectors) if 1 < len(items) <= _MOST_COMPARED else _vector_table(items, vectors)
    if task == "rerank":
        return _ranking_table(items, results)
    if task == "token-classify":
        return _span_table(items, results)
    if task == "raw":
        return _tensor_table(results)
    return _label_table(items, results)


_MOST_COMPARED = 12
"""The most texts whose similarities fit a terminal."""

_MOST_LABELS = 3
"""The most labels shown for an item."""


def _similarity_table(texts: Sequence[str], vectors: npt.NDArray[np.float32]) -> Table:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths == 0, 1, lengths)
    table = Table("", "text", title="Cosine similarity", title_justify="left")
    for index in range(len(texts)):
        table.add_column(str(index + 1), justify="right")
    for index, (text, row) in enumerate(zip(texts, unit @ unit.T, strict=True)):
        table.add_row(str(index + 1), shorten(text, 40), *(_similarity_cell(value) for value in row))
    return table


def _similarity_cell(value: float) -> Text:
    style = "bold green" if value >= 0.5 else "dim" if value < 0.2 else ""  # noqa: PLR2004 - shades, not meanings
    return Text(f"{value:.2f}".replace("-0.00", "0.00"), style=style)


def _vector_table(texts: Sequence[str], vectors: npt.NDArray[np.float32]) -> Table:
    table = Table("", "text", f"vector ({counted(vectors.shape[1], 'dimension')})")
    for index, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
        numbers = " ".join(f"{number:+.4f}" for number in vector[:4])
        table.add_row(str(index + 1), shorten(text, 40), f"{numbers} …")
    return table


def _ranking_table(pairs: Sequence[tuple[str, str]], scores: Sequence[float]) -> Table:
    table = Table("query", "rank", "document", "score")
    for query in dict.fromkeys(query for query, _ in pairs):
        mine = [(score, document) for (other, document), score in zip(pairs, scores, strict=True) if other == query]
        for rank, (score, document) in enumerate(sorted(mine, key=lambda item: -item[0]), start=1):
            table.add_row(shorten(query, 30), str(rank), shorten(document, 60), f"{score:.4f}")
    return table


def _label_table(items: Sequence[Any], results: Sequence[Sequence[LabelScore]]) -> Table:
    table = Table("", "input", "labels")
    for index, (item, labels) in enumerate(zip(items, results, strict=True)):
        listed = ", ".join(f"{label.label} {label.score:.3f}" for label in labels[:_MOST_LABELS])
        more = f", and {len(labels) - _MOST_LABELS} more" if len(labels) > _MOST_LABELS else ""
        table.add_row(
            str(index + 1), shorten(" | ".join(item) if isinstance(item, tuple) else str(item), 48), Text(listed + more)
        )
    return table


def _span_table(texts: Sequence[str], results: Sequence[Sequence[Span]]) -> Table:
    table = Table("", "characters", "text", "label", "score")
    for index, spans in enumerate(results):
        if not spans:
            table.add_row(str(index + 1), "–", shorten(texts[index], 48), Text("no span", style="dim"), "")
        for span in spans:
            part = texts[index][span.start : span.end]
            row = (f"{span.start}–{span.end}", shorten(part, 48), Text(span.label), f"{span.score:.3f}")
            table.add_row(str(index + 1), *row)
    return table


def _tensor_table(results: Sequence[dict[str, npt.NDArray[Any]]]) -> Table:
    table = Table("call", "output", "type", "shape", "mean", "min", "max")
    for index, outputs in enumerate(results):
        for name, array in outputs.items():
            numbers = (f"{getattr(array, kind)():.4g}" for kind in ("mean", "min", "max")) if array.size else ()
            table.add_row(str(index + 1), Text(name), str(array.dtype), Text(str(list(array.shape))), *numbers)
    return table
