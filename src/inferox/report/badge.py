"""The badge of an artifact's parity class, with the figures behind it."""

from __future__ import annotations

from inferox.measuring.comparison import ArtifactMeasurement, Comparison
from inferox.report.elements import Markup, element


def parity_badge(comparison: Comparison, item: ArtifactMeasurement) -> Markup:
    """Makes the badge of a parity class, which opens to show the figures, if there are any.

    Args:
        comparison: The comparison.
        item: One of its artifacts, or the library beside them, which has none.
    """
    if item is comparison.peer:
        return element("span", "another library", class_="badge")
    if item.evidence is None:
        return element("span", "not measured", class_="badge not-measured")
    agreement, name = item.evidence.agreement, item.evidence.parity_class.value
    figures = {
        "largest difference": f"{agreement.max_abs:.1e}, {agreement.max_rel:.1e} of the largest value",
        "cosine": f"min {agreement.cosine_min:.6f}, mean {agreement.cosine_mean:.6f}",
        "in batches": None if item.evidence.batch is None else str(item.evidence.batch),
        "weak evidence": item.evidence.weak,
    }
    listed = [element("li", f"{what}: {figure}") for what, figure in figures.items() if figure]
    return element("details", element("summary", name), element("ul", *listed), class_=f"badge {name}")
