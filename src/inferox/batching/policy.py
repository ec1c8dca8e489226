"""The choice of rows that share a batch: arithmetic on their lengths, and on who waits for them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np

from inferox.batching.waiting import Entry, Integers, Numbers, WaitingColumns, WaitingTable
from inferox.core import ConfigError

_AGING_S = 1.0
"""After each second without progress, a request is raised to the next higher priority, up to the highest that waits, so
that none waits forever."""

_CREDIT_PER_S = 1000.0
"""The tokens credited to a request, or to an owner, for each second without progress. Without it, an endless stream
of newcomers could starve those who were served before."""

_CONSIDERED = 4
"""The number of rows considered, as a multiple of the most that a batch may have."""

_MOST_CONSIDERED = 1024
"""The most rows that are considered, unless one batch may have more. In a simulation with 2,000 rows of all lengths in
the queue, half as many made batches 1 to 3% less useful."""


@dataclass(frozen=True, slots=True)
class BatchCost:
    """The cost of a batch, in units of the time that one token takes in linear layers.

    That is ``per_batch + per_row * rows + per_token * tokens + (per_place + per_pair * longest) * rows * longest``:
    linear layers compute tokens, or the places of a padded batch, and attention computes pairs of places, padding
    included. Fitted to 50 batches of 1 to 32 rows and 8 to 256 tokens of all-MiniLM-L6-v2 on two cores, with median
    errors of 4 to 7%, batches, places and pairs cost 48, 0.21 and 1/308 on ONNX Runtime, 54, 0.09 and 1/1358 on
    OpenVINO, and 69, 0.03 and 1/1177 on PyTorch, all packed.

    Attributes:
        per_batch: The fixed cost of a batch.
        per_row: The cost of each row.
        per_token: The cost of each token.
        per_place: The cost of each place of the padded batch.
        per_pair: The cost of each pair of places in a row.
    """

    per_batch: float
    per_row: float
    per_token: float
    per_place: float
    per_pair: float

    def of_batch(self, rows: int, tokens: int, longest: int) -> float:
        """Computes the cost of a batch.

        Args:
            rows: The number of rows.
            tokens: The number of tokens of all rows.
            longest: The number of tokens of the longest row.
        """
        places = rows * longest
        inner = self.per_token * tokens + (self.per_place + self.per_pair * longest) * places
        return self.per_batch + self.per_row * rows + inner

    def of_row(self, length: int) -> float:
        """Computes a row's share of the cost of a batch of many rows of the same length.

        Args:
            length: The number of its tokens.
        """
        return self.per_row + (self.per_token + self.per_place + self.per_pair * length) * length


PACKED_COST = BatchCost(per_batch=50, per_row=0, per_token=1, per_place=0.1, per_pair=1 / 700)
"""The cost of a batch in the packed layout."""

PADDED_COST = BatchCost(per_batch=50, per_row=0, per_token=0, per_place=1, per_pair=1 / 700)
"""The cost of a batch in the padded layout."""

FIXED_COST = BatchCost(per_batch=1000, per_row=1, per_token=0, per_place=0, per_pair=0)
"""The cost of a batch of a model that computes a fixed number of rows, however few are filled."""


@dataclass(frozen=True, slots=True)
class BatchBudget:
    """The limits of one batch.

    Attributes:
        tokens: The most tokens, or places if the batch is padded. Only a single row that is longer may exceed this,
            in a batch of its own.
        rows: The most rows.
        is_padded: Whether each row takes up as many tokens as the longest row of its batch.
        cost: The cost of a batch.
    """

    tokens: int
    rows: int
    is_padded: bool = True
    cost: BatchCost = PADDED_COST

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.rows < 1:
            raise ConfigError(
                f"a batch needs at least 1 token and 1 row, but the limits are {self.tokens} and {self.rows}"
            )

    def is_best_whole(self, rows: int, tokens: int, longest: int) -> bool:
        """Returns whether rows fit into one batch and cannot cost less in several.

        Args:
            rows: The number of rows.
            tokens: The number of tokens of all rows.
            longest: The number of tokens of the longest row.
        """
        if not self.holds(rows, tokens, longest):
            return False
        # In a batch of its own, each row costs what it would without padding: at least as much as rows of equal length.
        mean, cost = tokens / max(rows, 1), self.cost
        padding = cost.per_place * (longest - mean) + cost.per_pair * (longest**2 - mean**2)
        return rows * padding <= cost.per_batch

    def holds(self, rows: int, tokens: int, longest: int) -> bool:
        """Returns whether rows fit into one batch.

        Args:
            rows: The number of rows.
            tokens: The number of tokens of all rows.
            longest: The number of tokens of the longest row.
        """
        return rows <= 1 or (rows <= self.rows and (rows * longest if self.is_padded else tokens) <= self.tokens)


def choose_batch(waiting: WaitingTable[Entry], budget: BatchBudget, *, now_s: float) -> list[tuple[Entry, range]]:
    """Chooses the rows of the next batch.

    The most urgent request provides the lead row: its longest one left. Rows of the next most urgent requests may join
    it, those of the nearest length first. Of the possible batches within the budget, the one is chosen that wastes the
    smallest share of its time on padding and on the fixed cost of a batch. Urgency is decided by the highest priority,
    then the owner who has received the least computation, then the request that has, then the earliest deadline, then
    the earliest arrival. So a request of many rows adds at most one batch to the wait of a single row, and owners share
    the machine equally however many requests each makes.

    Args:
        waiting: The requests, each with at least one waiting row.
        budget: The limits of the batch.
        now_s: The time, on the clock of ``arrived_s`` and ``deadline_s``.

    Returns:
        The requests that have rows in the batch, and the places of those rows in ``lengths``; empty if nothing
        waits.
    """
    if not len(waiting):
        return []
    columns, most = waiting.columns(), max(budget.rows, min(_CONSIDERED * budget.rows, _MOST_CONSIDERED))
    places = order_by_urgency(columns, most, now_s=now_s)
    lengths, ends, offsets = _find_candidates(waiting, columns, places, budget.rows)
    order = lengths.argsort(kind="stable")
    # The longest row of the first request leads; its rows come first, in ascending length.
    lead = int((order == ends[0] - 1).argmax())
    chosen = np.sort(order[_grow(lengths[order].tolist(), lead, budget)])
    owners = ends.searchsorted(chosen, side="right")
    rows = zip(places[owners].tolist(), (chosen + offsets[owners]).tolist(), strict=True)
    found = []
    for place, some in groupby(rows, itemgetter(0)):
        of_request = [row for _, row in some]  # side by side, as they rise in length
        found.append((waiting[place], range(of_request[0], of_request[-1] + 1)))
    return found


def _find_candidates(
    waiting: WaitingTable[Entry], columns: WaitingColumns, places: Integers, batch_rows: int
) -> tuple[Integers, Integers, Integers]:
    """Collects the rows that may join a batch, one request after the other.

    Args:
        waiting: The requests.
        columns: Their columns.
        places: The places of the most urgent requests, in order.
        batch_rows: The most rows of a batch.

    Returns:
        The length of each row; for each request, the end of its rows among all; and for each request, the offset that
        turns a row's index among all into its place in the request's ``lengths``.
    """
    longest, counts, firsts = columns.longest[places], columns.rows[places], np.zeros(len(places), dtype=np.int64)
    for index in (counts > batch_rows).nonzero()[0].tolist():
        # No batch reaches beyond the rows that are nearest in length.
        of_request = waiting[int(places[index])].lengths
        middle = bisect_right(of_request, longest[0])
        firsts[index] = max(0, middle - batch_rows)
        counts[index] = min(len(of_request), middle + batch_rows) - firsts[index]
    ends = counts.cumsum()
    lengths = longest.repeat(counts)
    for index in (counts > 1).nonzero()[0].tolist():
        of_request, first = waiting[int(places[index])].lengths, firsts[index]
        lengths[ends[index] - counts[index] : ends[index]] = of_request[first : first + counts[index]]
    return lengths, ends, firsts - ends + counts


def order_by_urgency(columns: WaitingColumns, rows: int, *, now_s: float) -> Integers:
    """Orders the most urgent requests: the first, and others whose rows may share a batch with it.

    Args:
        columns: All waiting requests, at least one.
        rows: The number of rows after which no further requests are needed.
        now_s: The current time.

    Returns:
        The places of the requests.
    """
    waited_s = now_s - columns.since_s
    keys = (
        np.maximum(columns.priority.min(), columns.priority - np.floor(waited_s / _AGING_S)),
        columns.owner_tokens - (now_s - columns.owner_since_s) * _CREDIT_PER_S,
        columns.own_tokens - waited_s * _CREDIT_PER_S,
        columns.deadline_s,
        columns.arrived_s,
        columns.sequence,
    )
    places = np.arange(len(waited_s))
    if columns.group.min() != columns.group.max():
        (first,) = _least(keys, places, 1)
        places = (columns.group == columns.group[first]).nonzero()[0]
    ordered = _least(keys, places, rows)
    return ordered[: int(columns.rows[ordered].cumsum().searchsorted(rows)) + 1]


def _least(keys: Sequence[Numbers], places: Integers, count: int) -> Integers:
    """Returns the places with the smallest keys, in order. The first key counts most, and the last one is unique."""
    least, tied = [], places
    for key in keys:
        if len(tied) <= count:
            break
        of_tied = key[tied]
        limit = of_tied.min()
        if np.count_nonzero(of_tied == limit) < count:
            limit = np.partition(of_tied, count - 1)[count - 1]
        least.append(tied[of_tied < limit])
        tied, count = tied[of_tied == limit], count - len(least[-1])
    found = np.concatenate([*least, tied])
    return found[np.lexsort([key[found] for key in reversed(keys)])]


def _grow(lengths: Sequence[int], lead: int, budget: BatchBudget) -> slice:
    """Finds the rows around the lead row, in the order of their lengths, that make the best batch."""
    length = lengths[lead]
    first, after, tokens, useful = lead, lead + 1, length, budget.cost.of_row(length)
    best, best_share = slice(first, after), 0.0
    while True:
        rows, longest = after - first, lengths[after - 1]
        share = useful / budget.cost.of_batch(rows, tokens, longest)
        if share >= best_share:
            best, best_share = slice(first, after), share
        shorter = lengths[first - 1] if first > 0 else None
        longer = lengths[after] if after < len(lengths) else None
        down = shorter is not None and budget.holds(rows + 1, tokens + shorter, longest)
        up = longer is not None and budget.holds(rows + 1, tokens + longer, longer)
        if shorter is not None and down and (not up or longer is None or length - shorter <= longer - length):
            first, added = first - 1, shorter
        elif longer is not None and up:
            after, added = after + 1, longer
        else:
            return best
        tokens, useful = tokens + added, useful + budget.cost.of_row(added)


def plan_batches(lengths: Sequence[int], budget: BatchBudget) -> list[list[int]]:
    """Divides rows into the batches with the lowest total cost: few, and each of rows of similar length.

    Args:
        lengths: The length of each row, in tokens.
        budget: The limits and the cost of a batch.

    Returns:
        The indices of each batch's rows, shortest first. Every row is in exactly one batch.
    """
    order = np.argsort(lengths, kind="stable")
    rising = np.asarray(lengths, dtype=np.int64)[order]
    count, cost = len(rising), budget.cost
    firsts = _find_firsts(rising, budget)
    # The cost of a row in a batch whose longest row has this length, as far as it depends on the batch.
    prices = (cost.per_place + cost.per_pair * rising) * rising
    # ``least[i]`` is the lowest cost of the first ``i`` rows, and ``begins[i]`` the start of the last of their batches.
    least, begins, numbers = np.zeros(count + 1), [0] * (count + 1), np.arange(count)
    for last, (first, price) in enumerate(zip(firsts.tolist(), prices.tolist(), strict=True)):
        costs = least[first : last + 1] - price * numbers[first : last + 1]
        best = int(costs.argmin())
        begins[last + 1] = first + best
        least[last + 1] = costs[best] + price * (last + 1) + cost.per_batch
    batches, end = [], count
    while end:
        batches.append(order[begins[end] : end].tolist())
        end = begins[end]
    return batches[::-1]


def _find_firsts(rising: Integers, budget: BatchBudget) -> Integers:
    """Finds, for each row, the first row that a batch ending with it can have; lengths must be ascending."""
    numbers = np.arange(len(rising))
    if budget.is_padded:
        # Rows without a token fit at any number.
        by_tokens = np.where(rising > 0, numbers + 1 - budget.tokens // np.maximum(rising, 1), 0)
    else:
        totals = rising.cumsum()
        by_tokens = (totals - rising).searchsorted(totals - budget.tokens)
    firsts: Integers = np.maximum(by_tokens, numbers + 1 - budget.rows).clip(0, numbers)
    return firsts
