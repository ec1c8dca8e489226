"""Which rows share a batch: arithmetic on their lengths, and on who waits for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inferox.core import ConfigError

_AGING_S = 1.0
"""After each second without progress, a request counts as of the next higher priority, up to the highest that waits:
none waits forever."""

_CREDIT_PER_S = 1000.0
"""How many tokens fewer a request, or an owner, counts as having had for each second without progress. Otherwise an
endless stream of newcomers could push aside whoever was served before."""

_CONSIDERED = 4
"""How many rows are considered, as a multiple of the most that a batch may have."""


@dataclass(frozen=True, slots=True)
class BatchCost:
    """What a batch costs, in the time that a token takes in linear layers.

    That is ``per_batch + per_row * rows + per_token * tokens + (per_place + per_pair * longest) * rows * longest``:
    linear layers compute tokens, or the places of a padded batch, and attention computes pairs of places, padding
    included. Fitted to 50 batches of 1 to 32 rows and 8 to 256 tokens of all-MiniLM-L6-v2 on two cores, with median
    errors of 4 to 7%, batches, places and pairs cost 48, 0.21 and 1/308 on ONNX Runtime, 54, 0.09 and 1/1358 on
    OpenVINO, and 69, 0.03 and 1/1177 on PyTorch, all packed.

    Attributes:
        per_batch: What every batch costs.
        per_row: What each row costs.
        per_token: What each token costs.
        per_place: What each place of the padded batch costs.
        per_pair: What each pair of places of a row costs.
    """

    per_batch: float
    per_row: float
    per_token: float
    per_place: float
    per_pair: float

    def of_batch(self, rows: int, tokens: int, longest: int) -> float:
        """The cost of a batch.

        Args:
            rows: Its rows.
            tokens: The tokens of all of them.
            longest: The tokens of the longest.
        """
        places = rows * longest
        inner = self.per_token * tokens + (self.per_place + self.per_pair * longest) * places
        return self.per_batch + self.per_row * rows + inner

    def of_row(self, length: int) -> float:
        """The share of a row in the cost of a batch of many rows of its own length.

        Args:
            length: Its tokens.
        """
        return self.per_row + (self.per_token + self.per_place + self.per_pair * length) * length


PACKED_COST = BatchCost(per_batch=50, per_row=0, per_token=1, per_place=0.1, per_pair=1 / 700)
"""What a batch costs in the packed layout."""

PADDED_COST = BatchCost(per_batch=50, per_row=0, per_token=0, per_place=1, per_pair=1 / 700)
"""What a batch costs in the padded layout."""

FIXED_COST = BatchCost(per_batch=1000, per_row=1, per_token=0, per_place=0, per_pair=0)
"""What a batch costs where a model computes a fixed number of rows, however few are filled."""


@dataclass(frozen=True, slots=True)
class BatchBudget:
    """How much one batch may hold.

    Attributes:
        tokens: The most tokens, or places where the batch is padded. Only a row that is longer by itself exceeds them,
            and is then alone.
        rows: The most rows.
        is_padded: Whether a row takes up as many tokens as the longest of its batch.
        cost: What a batch costs.
    """

    tokens: int
    rows: int
    is_padded: bool = True
    cost: BatchCost = PADDED_COST

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.rows < 1:
            raise ConfigError(
                f"a batch needs at least 1 token and 1 row, and the limits are {self.tokens} and {self.rows}"
            )

    def holds(self, rows: int, tokens: int, longest: int) -> bool:
        """Whether some rows fit into one batch.

        Args:
            rows: Their number.
            tokens: The tokens of all of them.
            longest: The tokens of the longest.
        """
        return rows <= 1 or (rows <= self.rows and (rows * longest if self.is_padded else tokens) <= self.tokens)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request with rows that wait to be computed.

    Attributes:
        lengths: The tokens of each row that waits.
        group: Rows of different groups cannot share a batch, as images of different extents.
        priority: Lower numbers go first; each second without progress counts as one.
        owner_tokens: How much has been computed for the owner, by the scheduler's clock of tokens.
        own_tokens: How much has been computed for the request, by the same clock.
        arrived_s: When it came.
        since_s: When some of it was last computed, or when it came.
        owner_since_s: When something of its owner's was last computed, or when the first of it came.
        deadline_s: When its answer is needed; infinity where it has no deadline.
    """

    lengths: Sequence[int]
    group: object = None
    priority: int = 0
    owner_tokens: float = 0.0
    own_tokens: float = 0.0
    arrived_s: float = 0.0
    since_s: float = 0.0
    owner_since_s: float = 0.0
    deadline_s: float = math.inf


def choose_batch(requests: Sequence[Waiting], budget: BatchBudget, *, now_s: float) -> list[tuple[int, list[int]]]:
    """Chooses the rows of the next batch.

    The request that comes first gives the row that must be computed: the longest that it has left. Rows of all
    requests join it, those of the nearest length first. Of the batches that they would make within the budget, the one
    is chosen that wastes least of its time on padding and on what every batch costs. Within the highest priority, the
    owner for whom the least was computed comes first, then the request for which the least was, then the earliest
    deadline, then the one that arrived first. So a request of many rows adds one batch at most to the wait of a single
    row, and owners share the machine equally however many requests each makes.

    Args:
        requests: The requests, each with at least one row that waits; in any order.
        budget: What the batch may hold.
        now_s: The time, on the clock of ``arrived_s`` and ``deadline_s``.

    Returns:
        For each request that has rows in the batch, its index and those of its rows in ``lengths``; empty where nothing
        waits.
    """
    if not requests:
        return []

    highest = min(request.priority for request in requests)

    def urgency(index: int) -> tuple[float, float, float, float, float, int]:
        request = requests[index]
        waited_s, owner_waited_s = now_s - request.since_s, now_s - request.owner_since_s
        level = max(highest, request.priority - waited_s // _AGING_S)
        of_owner = request.owner_tokens - owner_waited_s * _CREDIT_PER_S
        own = request.own_tokens - waited_s * _CREDIT_PER_S
        return (level, of_owner, own, request.deadline_s, request.arrived_s, index)

    order = sorted(range(len(requests)), key=urgency)
    first = requests[order[0]]
    # Rows of later requests are looked at only as far as a batch could hold them, and some more to choose from.
    candidates: list[tuple[int, int, int, int]] = []
    for place, index in enumerate(order):
        if requests[index].group == first.group:
            candidates += [(length, place, index, row) for row, length in enumerate(requests[index].lengths)]
        if len(candidates) >= _CONSIDERED * budget.rows:
            break
    candidates.sort()
    lead = max(position for position, candidate in enumerate(candidates) if candidate[1] == 0)
    chosen: dict[int, list[int]] = {}
    for position in _grow(candidates, lead, budget):
        _, _, index, row = candidates[position]
        chosen.setdefault(index, []).append(row)
    return list(chosen.items())


def _grow(candidates: Sequence[tuple[int, int, int, int]], lead: int, budget: BatchBudget) -> range:
    """The rows around the one that leads, in the order of their lengths, that make the best batch."""
    length = candidates[lead][0]
    first, after, tokens, useful = lead, lead + 1, length, budget.cost.of_row(length)
    best, best_share = range(first, after), 0.0
    while True:
        rows, longest = after - first, candidates[after - 1][0]
        share = useful / budget.cost.of_batch(rows, tokens, longest)
        if share >= best_share:
            best, best_share = range(first, after), share
        shorter = candidates[first - 1][0] if first > 0 else None
        longer = candidates[after][0] if after < len(candidates) else None
        down = shorter is not None and budget.holds(rows + 1, tokens + shorter, longest)
        up = longer is not None and budget.holds(rows + 1, tokens + longer, longer)
        if shorter is not None and down and (not up or longer is None or length - shorter <= longer - length):
            first, added = first - 1, shorter
        elif longer is not None and up:
            after, added = after + 1, longer
        else:
            return best
        tokens, useful = tokens + added, useful + budget.cost.of_row(added)


def plan_batches(lengths: Sequence[int], *, max_tokens: int, max_rows: int) -> list[list[int]]:
    """Divides rows into batches whose rows are alike in length, so that little of a batch is padding.

    Args:
        lengths: The length of each row, in tokens.
        max_tokens: The most tokens of a batch, its padding included: rows times the longest. Only a row that is longer
            by itself exceeds it, and is then alone.
        max_rows: The most rows of a batch.

    Returns:
        The indices of each batch's rows, shortest first. Every row is in exactly one batch.

    Raises:
        ConfigError: If a limit is less than 1.
    """
    budget = BatchBudget(max_tokens, max_rows)
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Rows come in rising length, so that the one that joins is always the longest of its batch.
        rows = len(batches[-1]) + 1 if batches else 0
        if batches and budget.holds(rows, rows * lengths[index], lengths[index]):
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
