"""Tables and texts for people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text

from inferox.package import ArtifactEvidence

_UNITS = ("B", "kB", "MB", "GB", "TB")


def size_text(size_bytes: int) -> str:
    """A size as people read it, such as ``90.9 MB``; decimal units, as disks and downloads are measured in."""
    size = float(size_bytes)
    for unit in _UNITS[:-1]:
        if size < 1000:  # noqa: PLR2004 - what decimal units step by
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} {_UNITS[-1]}"


def shorten(text: str, width: int) -> Text:
    """A text on one line of at most ``width`` characters, with line breaks and control characters made visible."""
    line = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
    return Text(line if len(line) <= width else line[: width - 1] + "…")


def evidence_table(evidence: Sequence[ArtifactEvidence]) -> Table:
    """How well each artifact agrees with the reference."""
    table = Table("artifact", "agreement", title="Agreement with the reference", title_justify="left")
    for heading in ("max abs diff", "max rel diff", "cosine mean", "cosine min", "arg-max"):
        table.add_column(heading, justify="right")
    for item in evidence:
        agreement = item.agreement
        table.add_row(
            item.artifact,
            item.parity_class.value,
            f"{agreement.max_abs:.1e}",
            f"{agreement.max_rel:.1e}",
            f"{agreement.cosine_mean:.6f}",
            f"{agreement.cosine_min:.6f}",
            "" if agreement.argmax_agreement is None else f"{agreement.argmax_agreement:.1%}",
        )
    return table


def similarity_table(texts: Sequence[str], vectors: npt.NDArray[np.float32]) -> Table:
    """The cosine similarity of every two texts.

    Args:
        texts: The texts.
        vectors: Their embeddings; shape ``[n, hidden]``, float32.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths == 0, 1, lengths)
    table = Table("", "text", title="Cosine similarity", title_justify="left")
    for index in range(len(texts)):
        table.add_column(str(index + 1), justify="right")
    for index, (text, row) in enumerate(zip(texts, unit @ unit.T, strict=True)):
        table.add_row(str(index + 1), shorten(text, 48), *(_similarity_cell(value) for value in row))
    return table


def _similarity_cell(value: float) -> Text:
    style = "bold green" if value >= 0.5 else "dim" if value < 0.2 else ""  # noqa: PLR2004 - shades, not meanings
    return Text(f"{value:.2f}", style=style)
