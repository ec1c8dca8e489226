"""A bulk run: computes any number of rows of files with a model, into the parts of an output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

from inferox.bulk.answerer import Answerer
from inferox.bulk.answers import Answered
from inferox.bulk.inputs import Input, find_files, fingerprint
from inferox.bulk.kept_columns import KeptColumns
from inferox.bulk.options import BulkOptions
from inferox.bulk.output import Output, format_of
from inferox.bulk.pipeline import Pipeline
from inferox.bulk.readers.lines import HEAD_ROWS
from inferox.bulk.rows import Column
from inferox.bulk.watching import Watcher
from inferox.bulk.windows import Window, read_part
from inferox.bulk.writers import ARRAY, TABLES, check_format
from inferox.core import ConfigError, span
from inferox.loading import TaskModel


@dataclass(frozen=True)
class BulkResult:
    """The result of a bulk run.

    Attributes:
        rows: The number of rows of the output.
        failed: The number of rows with an error.
        cut: The number of texts that were cut to the model's limit.
        computed: The number of rows computed by this run; the others were there already.
        parts: The number of parts.
        seconds: The time that this run took, without loading the model.
        first_error: The error of the first row that failed in this run, with the name of the row; ``None`` if none did.
    """

    rows: int
    failed: int
    cut: int
    computed: int
    parts: int
    seconds: float
    first_error: str | None = None


def run_bulk(
    model: TaskModel,
    digest: str,
    inputs: Sequence[str],
    output: Path,
    options: BulkOptions,
    *,
    form: str | None = None,
    resume: bool = False,
    force: bool = False,
    watcher: Watcher | None = None,
) -> BulkResult:
    """Answers the rows of files, and writes them with their answers into parts of a folder.

    Reading and tokenizing, computing, and writing run concurrently, with few rows in memory. A part appears once it is
    complete, and is then listed in the manifest: with ``resume``, a run that was killed continues after its last part.
    The bytes of the parts do not depend on interruptions, on the same artifact and machine type.

    Args:
        model: The model.
        digest: The digest of its package.
        inputs: Files, folders and patterns.
        output: The folder of the output, or a file whose suffix states its format, such as ``vectors.parquet``.
        options: The options of the bulk run.
        form: The format: ``parquet``, ``arrow``, ``jsonl``, ``csv`` or ``npy``; ``None`` for that of the file, or
            Parquet. An array has no other columns than the answers: nothing is kept then, and no row may fail.
        resume: Whether to continue an existing output.
        force: Whether to replace an existing output.
        watcher: Records progress.

    Returns:
        The result, including rows of earlier runs.

    Raises:
        ConfigError: If an option does not fit, the output already exists, or it was begun with other options or inputs.
        RequestError: If an input cannot be read, or a row fails and ``on_error`` is ``fail``.
        BackendError: If the runtime fails.
    """
    form = _choose_format(output, form, options)
    watcher = watcher or Watcher()
    answerer = Answerer.of(model, options, can_keep_errors=form != ARRAY)
    if form == ARRAY and answerer.task.name not in {"embed", "rerank"}:
        raise ConfigError(f"an array holds vectors or scores, but the answers of {answerer.task.name} are neither")
    began_s = monotonic()
    files = find_files(inputs)
    _check_apart(inputs, files, output)
    with (
        Output(output, form, shard=options.shard, resume=resume, force=force) as out,
        Input(files) as source,
    ):
        keep = source.select(answerer.questions.columns, options.keep)
        answerer.check_kept(keep)
        job = {"package": digest, "format": form, **_describe(answerer, files)}
        kept = KeptColumns(_read_samples(files, answerer, keep), are_typed=form in TABLES)
        out.begin(job, answerer.make_schema())
        if not out.is_complete:
            watcher.begin(_count_rows(source, options), out.totals()["rows"])
            _run(answerer, kept, source, out, watcher)
        out.finish()
        return BulkResult(
            **out.totals(),
            computed=watcher.computed,
            parts=len(out.finished),
            seconds=monotonic() - began_s,
            first_error=out.first_error,
        )


def _run(answerer: Answerer, kept: KeptColumns, source: Input, out: Output, watcher: Watcher) -> None:
    """Reads, computes and writes concurrently."""
    with Pipeline() as pipeline:

        def advance(rows: int) -> None:
            pipeline.check()
            watcher.advance(rows)

        def compute() -> Iterator[Answered]:
            for first, window in pipeline.ahead(_read(answerer, kept, source, out.finished), name="read"):
                yield answerer.compute(window, kept.names, advance, name_row=partial(source.name_row, first))
                watcher.note_window(*window.share)

        for answered in pipeline.ahead(compute(), name="compute"):
            with span.get()("write"):
                out.write(answered)


def _read(
    answerer: Answerer, kept: KeptColumns, source: Input, finished: Mapping[int, int]
) -> Iterator[tuple[int, Window]]:
    """Reads and tokenizes the parts of this shard that are not finished; yields also the index of each first row."""
    (index, shards), part_rows = answerer.options.shard, answerer.options.part_rows
    for part in count():
        if part % shards != index or part in finished:
            if source.skip(part_rows) < part_rows:
                return
            continue
        rows_read, begins, first = 0, source.position, source.row
        for rows, is_last in read_part(source, part_rows, is_first=part == 0):
            rows_read += len(rows)
            share, begins = (begins, source.position), source.position
            fitted = kept.fit(rows, partial(source.name_row, first))
            yield first, answerer.encode(fitted, part=part, is_last=is_last, share=share)
            first += len(rows)
        if rows_read < part_rows:
            return


def _describe(answerer: Answerer, files: Sequence[Path]) -> dict[str, Any]:
    """Returns everything that determines the bytes of the output, besides the package and the format."""
    return {
        "embedding_space": answerer.model.metadata.embedding_space,
        "artifact": answerer.model.metadata.artifact,
        "task": answerer.task.name,
        "options": answerer.options.to_json(),
        "inputs": [fingerprint(file) for file in files],
    }


def _read_samples(files: Sequence[Path], answerer: Answerer, keep: Sequence[str]) -> dict[str, Column]:
    """Reads the kept columns of the first rows of the whole input, so that all shards have the same types."""
    with Input(files[:1]) as head:
        head.select(answerer.questions.columns, keep)
        samples = head.take(HEAD_ROWS).columns
    return {name: samples[name] for name in keep}


def _check_apart(inputs: Sequence[str], files: Sequence[Path], output: Path) -> None:
    """Refuses an output that a later run would read as part of its input."""
    folder = output.resolve()
    around = any(Path(name).is_dir() and folder.is_relative_to(Path(name).resolve()) for name in inputs)
    if around or any(file.resolve().is_relative_to(folder) for file in files):
        raise ConfigError(f"the output {output} lies within the input", hint="write to a folder beside it")


def _count_rows(source: Input, options: BulkOptions) -> int | None:
    """Counts the rows of this shard; ``None`` if the files do not state their numbers of rows."""
    rows = source.count_rows()
    if rows is None:
        return None
    index, shards = options.shard
    parts = range(index, -(-rows // options.part_rows), shards)
    return sum(min(options.part_rows, rows - part * options.part_rows) for part in parts)


def _choose_format(output: Path, form: str | None, options: BulkOptions) -> str:
    of_file = format_of(output)
    if form is not None and of_file not in {None, form}:
        raise ConfigError(f"the format is {form}, but the name of {output} implies {of_file}")
    chosen = form or of_file or "parquet"
    check_format(chosen)
    if of_file is not None and options.shard != (0, 1):
        raise ConfigError(f"a shard writes parts into a folder, but {output} is a file")
    if chosen == ARRAY and (options.keep != () or options.on_error != "fail"):
        raise ConfigError(
            "an .npy file holds only vectors or scores, not the columns kept or the errors of rows",
            hint="leave out --keep and --on-error keep, or write another format",
        )
    return chosen
