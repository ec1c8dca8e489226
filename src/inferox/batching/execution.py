"""The loop that plans rows into batches and computes them within the model's concurrency."""

from __future__ import annotations

import sys
from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context

from inferox.batching.policy import FIXED_COST, PACKED_COST, PADDED_COST, BatchBudget, plan_batches
from inferox.core import Batch, Layout, Model, Outputs, Signature, check_batch

MAX_TOKENS = 1024
"""The most tokens of a batch, padding included, where the caller sets no limit."""

MAX_ROWS = 256
"""The most rows of a batch, where the caller sets no limit."""

_MANY = 32
"""The fewest batches to compute concurrently: fewer are done before a model's lanes are set up."""

Computed = tuple[list[int], Batch, Outputs]


def run_batches(
    model: Model, rows: Batch, *, max_tokens: int = MAX_TOKENS, max_rows: int = MAX_ROWS
) -> Iterator[Computed]:
    """Computes rows of any lengths, batch by batch, so that only a few batches' outputs are held at a time.

    If the model was measured to depend on the batch, its rows are computed one by one, so that an answer never depends
    on other rows.

    Args:
        model: The model.
        rows: The rows, in any order.
        max_tokens: The most tokens of a batch; see ``read_budget``.
        max_rows: The most rows of a batch.

    Yields:
        The indices of a batch's rows, the batch, and its outputs.

    Raises:
        ConfigError: If the model does not compute rows independently: an input or output has no batch dim.
        RequestError: If a row does not fit the model's signature, or is empty. Nothing is computed then.
        BackendError: If the runtime fails.
    """
    budget = read_budget(model, max_tokens=max_tokens, max_rows=max_rows)
    check_batch(rows, model.signature)
    plan = _plan(rows, model.signature, budget)
    # A single batch has all rows in their order.
    batches = ((indices, rows if len(plan) == 1 else rows.select(indices)) for indices in plan)
    if len(plan) >= _MANY and model.max_concurrency > 1:
        yield from _compute_side_by_side(model, batches)
    else:
        yield from ((indices, batch, model.compute(batch)) for indices, batch in batches)


def _compute_side_by_side(model: Model, batches: Iterable[tuple[list[int], Batch]]) -> Iterator[Computed]:
    running: deque[tuple[list[int], Batch, Future[Outputs]]] = deque()
    with ThreadPoolExecutor(model.max_concurrency, thread_name_prefix="inferox") as pool:
        try:
            for indices, batch in batches:
                running.append((indices, batch, pool.submit(copy_context().run, model.compute, batch)))
                if len(running) > model.max_concurrency:
                    yield _finish(*running.popleft())
            while running:
                yield _finish(*running.popleft())
        finally:
            for _, _, future in running:
                future.cancel()


def _finish(indices: list[int], batch: Batch, future: Future[Outputs]) -> Computed:
    return indices, batch, future.result()


def read_budget(model: Model, *, max_tokens: int, max_rows: int) -> BatchBudget:
    """Derives the batch budget of a model: what one batch may hold, and what it costs.

    Args:
        model: The model.
        max_tokens: The most tokens of a batch, and in the padded layout the most places, padding included. Where the
            model takes a fixed number of rows, a batch costs the same however few of them are filled, and this limit
            does not apply.
        max_rows: The most rows of a batch.

    Raises:
        ConfigError: If a limit is less than 1.
    """
    limits = model.limits
    if limits.is_fixed:
        return BatchBudget(sys.maxsize, limits.rows or 1, cost=FIXED_COST)
    is_padded = model.metadata.layout is Layout.PADDED
    cost = PADDED_COST if is_padded else PACKED_COST
    return BatchBudget(max_tokens, min(max_rows, limits.rows or max_rows), is_padded, cost)


def _plan(rows: Batch, signature: Signature, budget: BatchBudget) -> list[list[int]]:
    """Plans batches within each group of rows that are alike in every input that is not padded."""
    groups = list(group_alike(rows, signature).values())
    count = rows.row_count
    if len(groups) == 1 and count and budget.is_best_whole(count, rows.token_count, rows.longest):
        return groups
    lengths = rows.lengths.tolist()
    planned: list[list[int]] = []
    for members in groups:
        batches = plan_batches([lengths[index] for index in members], budget)
        planned += [[members[position] for position in batch] for batch in batches]
    return planned if len(planned) != 1 else groups  # whose rows are in their order


def group_alike(rows: Batch, signature: Signature) -> dict[Hashable, list[int]]:
    """Groups the rows that may share a batch: those that are alike in every input that is not padded.

    Args:
        rows: The rows.
        signature: The padded signature of the model.

    Returns:
        The indices of each group's rows, in ascending order, by a key of what they have in common: groups of different
        calls with the same key may share a batch as well.
    """
    specs = signature.inputs
    given = [spec for spec in specs if spec.name in rows.dense]
    dense = [rows.dense[spec.name] for spec in given if any(isinstance(dim, str) for dim in spec.dims[1:])]
    rigid = [spec for spec in specs if spec.name in rows.ragged and spec.name not in rows.pad_values]
    if not rigid and all(array.dtype != object for array in dense):
        return {(0, *(array.shape[1:] for array in dense)): list(range(rows.row_count))}
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index, length in enumerate(rows.lengths.tolist()):
        shapes = (array[index].shape if array.dtype == object else array.shape[1:] for array in dense)
        groups[(length if rigid else 0, *shapes)].append(index)
    return groups
