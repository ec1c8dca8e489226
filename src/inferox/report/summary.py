"""A comparison in a few sentences: which artifact to use, how much it gains, how exact it is, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inferox.core import counted
from inferox.measuring.comparison import FAIR_ITEMS, ArtifactMeasurement, Comparison, Spread
from inferox.parity import ParityClass
from inferox.report.quantities import bytes_text, factor_text, seconds_text, three_digits

NOISY = 0.15
"""The spread of the rounds, as a share of their median, above which a measurement is called noisy."""

_VERY_NOISY = 0.5
"""The same share, above which a gain over another is a range."""

_BUSY = 0.2
"""The share of the cores that other programs must keep busy for a warning."""

_MOST_NAMES = 2
"""The most artifacts that a card names as equally good."""

NOISE_HINT = "Smaller differences say little: close other programs, or allow more --seconds."

_QUIET_HINT = "Smaller differences say little: allow more --seconds."
"""The hint where other programs did next to nothing when the comparison began."""

_QUIET = 0.05
"""The share of the cores up to which other programs do next to nothing."""


@dataclass(frozen=True)
class Recommendation:
    """The best artifact for a purpose.

    Attributes:
        purpose: The purpose, such as ``latency``.
        artifact: The name of the artifact.
        figure: The figure that decides.
        ties: The names of those that are as good within the noise of the measurement.
    """

    purpose: str
    artifact: str
    figure: str
    ties: tuple[str, ...] = ()

    @property
    def ties_text(self) -> str:
        """Names those that are as good, or says how many there are; empty if there are none."""
        if not self.ties:
            return ""
        names = _listed(self.ties) if len(self.ties) <= _MOST_NAMES else f"{len(self.ties)} others"
        return f"{names} {'is' if len(self.ties) == 1 else 'are'} as good within the noise"


def agreeing(comparison: Comparison) -> list[ArtifactMeasurement]:
    """Returns the artifacts that neither miss their tolerance nor failed, by speed; all of them if none is left."""
    kept = [item for item in comparison.artifacts if not _fails(item) and item.artifact not in comparison.failures]
    return kept or list(comparison.artifacts)


def find_pytorch(artifacts: Sequence[ArtifactMeasurement]) -> ArtifactMeasurement | None:
    """Returns the fastest fp32 artifact of PyTorch, the baseline of the others; ``None`` if none was measured."""
    return next((item for item in artifacts if _is_pytorch(item)), None)


def ratio(item: ArtifactMeasurement, other: ArtifactMeasurement) -> float:
    """Returns the throughput of an artifact on rows of mixed lengths, relative to another."""
    return _rates(item).median / _rates(other).median


def is_fair(peer: ArtifactMeasurement) -> bool:
    """Returns whether the library beside the artifacts was measured with enough rows to be compared with."""
    return peer.throughput.rows >= FAIR_ITEMS


def answer(comparison: Comparison) -> str:
    """Names the fastest artifact, its gain over PyTorch and sentence-transformers, and its exactness."""
    best = agreeing(comparison)[0]
    ties = find_ties(comparison)
    pytorch, peer = find_pytorch(comparison.artifacts), comparison.peer
    against = _pytorch_unless_best(pytorch, best, ties)
    if peer is not None and is_fair(peer):
        against.append((peer, f"{peer.artifact} in calls of {counted(peer.throughput.rows, 'text')}"))
    alike = _spreads(comparison, best, ties, _rates)
    gains = [_gain(alike, [_rates(other)], name) for other, name in against]
    missing = " (PyTorch in fp32 was not measured)" if pytorch is None else ""
    rate = f" with {three_digits(_rates(best).median)} rows/s"
    parts = [f"{_first(best, ties, 'fastest')} here", f": {_listed(gains)}" if gains else rate, missing]
    return f"{''.join(parts)}; {exactness(best, 'the first one' if ties else 'it')}."


def further_answers(comparison: Comparison) -> list[str]:
    """Names the artifacts that are as fast within the noise, and the one with the least latency of a single row."""
    return [
        *_say_ties(find_ties(comparison), "fast"),
        describe_quickest(comparison),
        *_say_ties(_ties(comparison, _find_quickest(comparison), _latencies), "quick"),
    ]


def _say_ties(names: Sequence[str], how: str) -> list[str]:
    return [f"As {how} within the noise: {_listed(names)}."] if names else []


def describe_quickest(comparison: Comparison) -> str:
    """Names the artifact with the least latency of a single row, and its gain over those of ``answer``."""
    quick = _find_quickest(comparison)
    ties = _ties(comparison, quick, _latencies)
    pytorch = min((item for item in comparison.artifacts if _is_pytorch(item)), key=_median_latency, default=None)
    peer, length = comparison.peer, quick.one_row.length
    against = _pytorch_unless_best(pytorch, quick, ties)
    if peer is not None and peer.one_row.length == length:
        against.append((peer, peer.artifact))
    alike = _spreads(comparison, quick, ties, _latencies)
    gains = [_gain([_latencies(other)], alike, name) for other, name in against]
    row = f"a single row of {counted(length, 'token')}" if length else "a single row"
    found = f"{_first(quick, ties, 'quickest')} with {row}, at {seconds_text(_median_latency(quick))}"
    return f"{found}: {_listed(gains)}." if gains else f"{found}."


def _pytorch_unless_best(
    pytorch: ArtifactMeasurement | None, best: ArtifactMeasurement, ties: Sequence[str]
) -> list[tuple[ArtifactMeasurement, str]]:
    """Returns the artifact of PyTorch with its name in a sentence; nothing if it is among the best, or missing."""
    if pytorch is None or pytorch is best or pytorch.artifact in ties:
        return []
    return [(pytorch, f"PyTorch ({pytorch.artifact})")]


def _first(best: ArtifactMeasurement, ties: Sequence[str], what: str) -> str:
    if not ties:
        return f"{best.artifact} is the {what}"
    return f"{best.artifact} and {counted(len(ties), 'other')}, alike within the noise, are the {what}"


def _spreads(
    comparison: Comparison,
    best: ArtifactMeasurement,
    ties: Sequence[str],
    read: Callable[[ArtifactMeasurement], Spread],
) -> list[Spread]:
    """Returns a figure of the best and of those that are as good."""
    return [read(item) for item in comparison.artifacts if item is best or item.artifact in ties]


def _gain(above: Sequence[Spread], below: Sequence[Spread], name: str) -> str:
    """Formats a ratio: as a range if there are several, or one is very noisy; as an estimate if one is noisy.

    Args:
        above: The numerators.
        below: The denominators.
        name: What the gain is over.
    """
    figures = [*above, *below]
    noise = max(figure.share for figure in figures)
    pairs = [(one, other) for one in above for other in below]
    if noise > _VERY_NOISY:
        ratios = [end for one, other in pairs for end in (one.low / other.high, one.high / other.low)]
    else:
        ratios = [one.median / other.median for one, other in pairs]
    ends = dict.fromkeys((factor_text(min(ratios)), factor_text(max(ratios))))
    # The noise of a single round is unknown.
    is_estimate = NOISY < noise <= _VERY_NOISY or any(figure.count == 1 for figure in figures)
    return f"{'about ' if is_estimate else ''}{' to '.join(ends)} times as fast as {name}"


def exactness(item: ArtifactMeasurement, subject: str = "it") -> str:
    """Describes how exact an artifact is, as a clause.

    Args:
        item: The artifact.
        subject: What the clause calls it.
    """
    whose = "its" if subject == "it" else f"{subject}'s"
    if item.evidence is None:
        known = "" if item.packed_class is None else f"; when it was packed, its outputs were {item.packed_class.value}"
        return f"{whose} exactness was not measured here{known}"
    agreement, name = item.evidence.agreement, item.evidence.parity_class
    figures = f"min cosine {agreement.cosine_min:.6f}, largest difference {agreement.max_rel:.1e} of the largest value"
    if name is ParityClass.FAIL:
        return f"{subject} misses its tolerance ({figures})"
    return f"{whose} outputs are {name.value} ({figures})"


def find_ties(comparison: Comparison) -> tuple[str, ...]:
    """Returns the names of those artifacts that are as fast as the fastest within the noise of the measurement."""
    return _ties(comparison, agreeing(comparison)[0], _rates)


def recommend(comparison: Comparison) -> list[Recommendation]:
    """Recommends an artifact each for latency, throughput, cost if an hour has a price, and memory."""
    items = agreeing(comparison)
    quick, most = _find_quickest(comparison), items[0]
    length = quick.one_row.length
    row = f"a row of {counted(length, 'token')}" if length else "one row"
    as_many = find_ties(comparison)
    found = [
        Recommendation(
            "latency",
            quick.artifact,
            f"{seconds_text(_median_latency(quick))} for {row}",
            _ties(comparison, quick, _latencies),
        ),
        Recommendation("throughput", most.artifact, f"{three_digits(_rates(most).median)} rows/s", as_many),
    ]
    price = comparison.million_rows_price(most)
    if price is not None:
        figure = f"{three_digits(price)} for a million rows, at {comparison.price_per_hour:g} an hour"
        found.append(Recommendation("cost", most.artifact, figure, as_many))
    known = [(item.peak_memory_bytes, item.artifact) for item in items if item.peak_memory_bytes is not None]
    if known:
        size_bytes, name = min(known)
        found.append(Recommendation("memory", name, f"{bytes_text(size_bytes)} at its peak"))
    return found


def warnings(comparison: Comparison) -> list[str]:
    """Returns warnings about the reliability of the figures, with advice; empty if there are none."""
    found = [f"{name} {why}. It is not recommended." for name, why in comparison.failures.items()]
    load, cores = comparison.other_busy_cores, comparison.machine.cores
    if load is not None and load > _BUSY * cores:
        busy = f"{load:.1f} of {counted(cores, 'core')} busy"
        found.append(f"Other programs kept {busy} when the comparison began. Close them, and measure again.")
    rates = [(_rates(item), item.artifact) for item in comparison.listed]
    latencies = [
        (row.seconds, item.artifact + (f", {counted(row.length, 'token')}" if row.length else ""))
        for item in comparison.listed
        for row in item.latency
    ]
    noisy = []
    for figure, spreads in (("Rows/s are", rates), ("The latency is", latencies)):
        spread, name = max(spreads, key=lambda pair: pair[0].share)
        if spread.share > NOISY:
            spans = "the middle half of the rounds spans" if spread.is_middle_half else "the rounds span"
            noisy.append(f"{figure} noisy: {spans} up to {100 * spread.share:.0f}% of the median ({name}).")
    if noisy:
        is_quiet = load is not None and load <= _QUIET * cores
        found.append(" ".join((*noisy, _QUIET_HINT if is_quiet else NOISE_HINT)))
    if comparison.rounds == 1:
        found.append("The rates come from a single round, so their noise is unknown: allow more --seconds.")
    peer = comparison.peer
    if comparison.no_peer is not None:
        found.append(f"sentence-transformers was not measured: {comparison.no_peer}.")
    elif peer is not None and not is_fair(peer):
        found.append(
            f"{peer.artifact} was measured in calls of only {counted(peer.throughput.rows, 'text')}, where it pads "
            "more than in longer ones: allow more --seconds to compare with it."
        )
    return found


def how_far(comparison: Comparison) -> list[str]:
    """Says what is missing of the plan, and why; empty if everything was measured."""
    if comparison.ending == "complete":
        return []
    is_stopped = comparison.ending == "interrupted"
    why, hint = ("Stopped", "") if is_stopped else ("Time ran out", ": --seconds allows more time")
    is_in_first = comparison.unreached and comparison.rounds == 1
    place = "in the first" if is_in_first else f"after {comparison.rounds}"
    planned = max(comparison.plan.rounds, comparison.rounds)
    said = [f"{why} {place} of {counted(planned, 'round')}{hint}."]
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, phrases in comparison.unreached.items():
        groups.setdefault(phrases, []).append(name)
    for phrases, names in groups.items():
        is_all = 1 < len(names) == len(comparison.artifacts)
        said.append(f"Not measured for {'any artifact' if is_all else _listed(names)}: {', '.join(phrases)}.")
    return said


def short_names(comparison: Comparison) -> dict[str, str]:
    """Returns the shortest distinct name of each artifact: its backend, and the parts in which artifacts of it differ.

    sentence-transformers, if it was measured, keeps its name, and so does an artifact whose short name others share.

    Args:
        comparison: The measurements.
    """
    parts = {item.artifact: item.artifact.split("/") for item in comparison.listed}
    found = {}
    for name, own in parts.items():
        others = [other for other in parts.values() if other[0] == own[0] and len(other) == len(own)]
        kept = [part for index, part in enumerate(own) if not index or len({other[index] for other in others}) > 1]
        found[name] = " ".join(kept)
    shorts = list(found.values())
    return {name: short if shorts.count(short) == 1 else name for name, short in found.items()}


def _fails(item: ArtifactMeasurement) -> bool:
    return item.evidence is not None and item.evidence.parity_class is ParityClass.FAIL


def _is_pytorch(item: ArtifactMeasurement) -> bool:
    return item.artifact.startswith("torch/") and "/fp32/" in item.artifact


def _rates(item: ArtifactMeasurement) -> Spread:
    return item.throughput.rows_per_s


def _latencies(item: ArtifactMeasurement) -> Spread:
    return item.one_row.seconds


def _median_latency(item: ArtifactMeasurement) -> float:
    return _latencies(item).median


def _find_quickest(comparison: Comparison) -> ArtifactMeasurement:
    return min(agreeing(comparison), key=_median_latency)


def _ties(
    comparison: Comparison, best: ArtifactMeasurement, read: Callable[[ArtifactMeasurement], Spread]
) -> tuple[str, ...]:
    """Returns the names of those that may be as good as the best, and of those whose median is no worse than theirs."""
    others = [item for item in agreeing(comparison) if item is not best]
    distances = {item.artifact: abs(read(item).median - read(best).median) for item in others}
    farthest = max((distances[item.artifact] for item in others if _may_be_equal(read(item), read(best))), default=-1.0)
    return tuple(name for name, distance in distances.items() if distance <= farthest)


def _may_be_equal(one: Spread, other: Spread) -> bool:
    """Returns whether the median of one lies within the spread of the other."""
    return one.low <= other.median <= one.high or other.low <= one.median <= other.high


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
