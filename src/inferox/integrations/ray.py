"""Ray Data: computes answers for the rows of a dataset, with actors on any number of machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from ray.data import ActorPoolStrategy, Dataset

from inferox.bulk import BulkOptions
from inferox.bulk.answerer import Answerer
from inferox.bulk.rows import Rows
from inferox.bulk.windows import WINDOW_ROWS
from inferox.bulk.writers.arrow import make_table, make_types
from inferox.core import ConfigError
from inferox.integrations.options import check_options
from inferox.loading import load


def answer_rows(
    dataset: Dataset,
    package: str,
    *,
    threads: int,
    actors: int | tuple[int, int],
    options: BulkOptions | None = None,
    batch_rows: int = WINDOW_ROWS,
    num_gpus: float = 0,
    load_options: Mapping[str, Any] | None = None,
) -> Dataset:
    """Answers the rows of a dataset, as ``inferox run`` answers those of files.

    Each actor loads the package once, and answers blocks of many rows, batching rows of similar length together. If an
    actor is lost, another answers its block again. A row that fails has the reason in the column ``error``; the others
    have their answers.

    Args:
        dataset: The rows.
        package: The package: a path that exists on every machine.
        threads: The number of CPU threads of each actor, and of CPUs that Ray reserves for it: left to itself, a
            runtime would take all cores of the machine.
        actors: The number of actors, or their least and greatest number.
        options: The options of the bulk run; ``None`` to embed the column ``text``. ``shard`` and ``part_rows`` are
            for files only: Ray divides a dataset itself.
        batch_rows: The most rows that an actor answers at a time, and of a block. Where Ray joins small blocks, they
            have less than twice as many.
        num_gpus: The number of GPUs that Ray reserves for each actor.
        load_options: Other arguments of ``inferox.load``, such as ``backend``, ``device`` or ``precision``.

    Returns:
        The kept columns with the answers; see docs/bulk.md for their names and types.

    Raises:
        ConfigError: If a number is less than 1, an option is unknown, or an option is for files only.
    """
    chosen = options or BulkOptions()
    least, most = (actors, actors) if isinstance(actors, int) else actors
    if threads < 1 or batch_rows < 1 or not 1 <= least <= most:
        raise ConfigError(
            f"threads, batch_rows and actors must be 1 or more, but are {threads}, {batch_rows} and {actors}"
        )
    if (chosen.shard, chosen.part_rows) != (BulkOptions().shard, BulkOptions().part_rows):
        raise ConfigError("shard and part_rows are only for files: Ray divides a dataset itself")
    further = {**(load_options or {}), "threads": threads}
    check_options("load_options", load, further)
    # A block is what an actor is given at a time, and what is computed again if the actor is lost: Ray's own, of up to
    # 128 MiB, would be an hour's work, and too few to share out. Before 2.48, Ray gives them to the actors undivided.
    blocks = dataset.repartition(target_num_rows_per_block=batch_rows)
    return blocks.map_batches(
        RowActor,
        fn_constructor_args=(package, chosen, further),
        batch_size=batch_rows,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(min_size=least, max_size=most),
        num_cpus=threads,
        num_gpus=num_gpus,
    )


class RowActor:
    """A Ray actor: a model that answers tables of rows.

    Args:
        package: The package.
        options: The options of the bulk run.
        load_options: Arguments of ``inferox.load``.

    Raises:
        InferoxError: If the package cannot be loaded there, or an option does not fit its task.
    """

    def __init__(self, package: str, options: BulkOptions, load_options: Mapping[str, Any]) -> None:
        self._answerer = Answerer.of(load(package, **load_options), options)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Answers the rows of a table.

        Args:
            table: The rows.

        Returns:
            The kept columns with the answers.

        Raises:
            ConfigError: If the table lacks a column, or a kept column has the name of an answer's.
            RequestError: If a row fails and ``on_error`` is ``fail``.
            BackendError: If the runtime fails.
        """
        answerer = self._answerer
        columns, kept = answerer.questions.columns, answerer.options.keep
        keep = tuple(table.column_names) if kept is None else kept
        for name in (*columns, *keep):
            if name not in table.column_names:
                raise ConfigError(f"the dataset has no column {name!r}", hint=f"it has {', '.join(table.column_names)}")
        answerer.check_kept(keep)
        read = {name: _whole(table.column(name)) for name in dict.fromkeys((*columns, *keep))}
        answered = answerer.compute(answerer.encode(Rows(read, [None] * table.num_rows)), keep)
        types = make_types(answerer.make_schema(), answered.columns)
        return make_table(types, answered.columns, answered.errors)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
