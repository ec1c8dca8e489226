"""A bulk run: any number of rows of files, through a model, into parts of an output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from inferox.batching import MAX_TOKENS
from inferox.bulk.answers import Answered, answer_names, compute_window
from inferox.bulk.inputs import Input, find_files, fingerprint
from inferox.bulk.output import Output, format_of
from inferox.bulk.pipeline import Pipeline
from inferox.bulk.questions import Questions
from inferox.bulk.readers.lines import HEAD_ROWS
from inferox.bulk.watching import Watcher
from inferox.bulk.windows import Window, encode_window, read_part
from inferox.bulk.writers import ARRAY, Schema, check_format
from inferox.bulk.writers.writer import ERROR
from inferox.core import ConfigError, RequestError
from inferox.loading import TaskModel
from inferox.tasks import EmbedTask, Task, VectorForm
from inferox.tasks.truncation import check_truncation

PART_ROWS = 32_768
"""How many rows a part of the output has, where the caller does not say. What is not finished is computed again."""


@dataclass(frozen=True)
class BulkOptions:
    """What is done with the rows of the input.

    Attributes:
        column: The column of the text, or of the document that is scored.
        pair_column: The column of the second text of each pair (classify), or of the query (rerank).
        query: The query of all rows (rerank).
        keep: The columns that are written again; ``None`` for all.
        form: The form of vectors (embed).
        prompt: The name of the model's prompt to put before each text (embed).
        truncate: ``error`` gives texts that are too long an error, ``warn`` and ``cut`` cut them; ``warn`` says so.
        on_error: ``keep`` writes rows that fail with the reason in the column ``error``; ``fail`` ends at the first.
        batch_tokens: The most tokens of a batch.
        part_rows: How many rows a part of the output has.
        shard: Which shard of how many is computed, from 0: each part belongs to one.

    Raises:
        ConfigError: If a value is not one of these.
    """

    column: str = "text"
    pair_column: str | None = None
    query: str | None = None
    keep: tuple[str, ...] | None = None
    form: VectorForm = field(default_factory=VectorForm)
    prompt: str | None = None
    truncate: str = "warn"
    on_error: str = "keep"
    batch_tokens: int = MAX_TOKENS
    part_rows: int = PART_ROWS
    shard: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        check_truncation(self.truncate)
        if self.on_error not in {"keep", "fail"}:
            raise ConfigError(f"on_error must be keep or fail, but is {self.on_error!r}")
        if self.part_rows < 1 or self.batch_tokens < 1:
            raise ConfigError(
                f"part_rows and batch_tokens must be 1 or more, but are {self.part_rows} and {self.batch_tokens}"
            )
        index, count_ = self.shard
        if not 0 <= index < count_:
            raise ConfigError(f"shard must be (i, n) with 0 <= i < n, but is ({index}, {count_})")

    def to_json(self) -> dict[str, Any]:
        """What of it decides about the bytes of the output."""
        values = vars(self) | {"form": vars(self.form), "shard": list(self.shard)}
        return values | {"keep": None if self.keep is None else list(self.keep)}


@dataclass(frozen=True)
class BulkResult:
    """What a bulk run has written.

    Attributes:
        rows: The rows of its output.
        failed: How many of them have an error.
        cut: How many of the texts were cut to what the model takes.
        computed: How many of the rows were computed by this run; the others were there already.
        parts: The number of parts.
    """

    rows: int
    failed: int
    cut: int
    computed: int
    parts: int


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

    Reading and tokenising, computing, and writing go on at the same time, and few rows are held at a time. A part
    appears once it is complete, and the manifest then lists it: a run that was killed goes on behind its last part
    with ``resume``. The parts have the same bytes whatever was interrupted, on the same artifact and machine type.

    Args:
        model: The model.
        digest: The digest of its package.
        inputs: Files, folders and patterns.
        output: The folder of the output, or a file whose name says its format, such as ``vectors.parquet``.
        options: What is done with the rows.
        form: The format: ``parquet``, ``arrow``, ``jsonl``, ``csv`` or ``npy``; ``None`` for the file's, or Parquet.
            An array has no column beside the answers: nothing is kept then, and no row may fail.
        resume: Whether an output that is there is gone on with.
        force: Whether an output that is there is replaced.
        watcher: Told how far it is.

    Raises:
        ConfigError: If an option does not fit, the output exists already, or it was begun with something else.
        RequestError: If an input cannot be read, or a row fails and ``on_error`` is ``fail``.
        BackendError: If the runtime fails.
    """
    form = _choose_format(output, form, options)
    watcher = watcher or Watcher()
    task = _choose_task(model.task, options)
    questions = Questions.of_task(task.name, options.column, options.pair_column, options.query)
    files = find_files(inputs)
    _check_apart(inputs, files, output)
    with (
        Output(output, form, shard=options.shard, resume=resume, force=force) as out,
        Input(files) as source,
    ):
        keep = source.select(questions.columns, options.keep)
        work = _Work(model, task, questions, keep, options)
        work.check_names(form)
        out.begin({"package": digest, "format": form, **work.describe(files)}, work.make_schema(files))
        if not out.is_complete:
            watcher.begin(_count_rows(source, options), out.totals()["rows"])
            work.run(source, out, watcher)
        out.finish()
        return BulkResult(**out.totals(), computed=watcher.computed, parts=len(out.finished))


@dataclass(frozen=True)
class _Work:
    """What a run does with each window."""

    model: TaskModel
    task: Task
    questions: Questions
    keep: tuple[str, ...]
    options: BulkOptions

    def run(self, source: Input, out: Output, watcher: Watcher) -> None:
        """Reads, computes and writes, all at the same time."""
        with Pipeline() as pipeline:

            def advance(rows: int) -> None:
                pipeline.check()
                watcher.advance(rows)

            def compute() -> Iterator[Answered]:
                for window in pipeline.ahead(self._read(source, out.finished)):
                    yield self._compute(window, advance)
                    watcher.note_window(*window.share)

            for answered in pipeline.ahead(compute()):
                out.write(answered)

    def check_names(self, form: str) -> None:
        """Refuses kept columns that are called as those of the answers are, and answers that a format cannot have."""
        if form == ARRAY and self.task.name not in {"embed", "rerank"}:
            raise ConfigError(f"an array holds vectors or scores, and the answers of {self.task.name} are neither")
        taken = [*answer_names(self.task), *([ERROR] if self.options.on_error == "keep" else [])]
        for name in self.keep:
            if name in taken:
                raise ConfigError(
                    f"the input has a column {name!r}, which is what a column of the answers is called",
                    hint="choose the columns that are written again with --keep",
                )

    def describe(self, files: Sequence[Path]) -> dict[str, Any]:
        """What decides about the bytes of the output, beside the package."""
        return {
            "embedding_space": self.model.metadata.embedding_space,
            "artifact": self.model.metadata.artifact,
            "task": self.task.name,
            "options": self.options.to_json(),
            "inputs": [fingerprint(file) for file in files],
        }

    def make_schema(self, files: Sequence[Path]) -> Schema:
        """The types of kept columns, by the first rows of the whole input, so that all shards have the same."""
        with Input(files[:1]) as head:
            head.select(self.questions.columns, self.keep)
            samples = head.take(HEAD_ROWS).columns
        metadata = {
            "inferox.model": self.model.name,
            "inferox.artifact": self.model.metadata.artifact,
            "inferox.embedding_space": self.model.metadata.embedding_space or "",
        }
        has_errors = self.options.on_error == "keep"
        return Schema({name: samples[name] for name in self.keep}, metadata, has_errors=has_errors)

    def _read(self, source: Input, finished: Mapping[int, int]) -> Iterator[Window]:
        """Reads and tokenises the parts of this shard that are not finished."""
        options = self.options
        index, shards = options.shard
        for part in count():
            if part % shards != index or part in finished:
                if source.skip(options.part_rows) < options.part_rows:
                    return
                continue
            rows_read, begins = 0, source.position
            for rows, is_last in read_part(source, options.part_rows, is_first=part == 0):
                rows_read += len(rows)
                share, begins = (begins, source.position), source.position
                yield encode_window(
                    self.task, self.questions, rows, part=part, is_last=is_last, truncate=options.truncate, share=share
                )
            if rows_read < options.part_rows:
                return

    def _compute(self, window: Window, advance: Callable[[int], None]) -> Answered:
        self._check(window.errors)
        answered = compute_window(
            self.model.model,
            self.task,
            self.options.form,
            window,
            keep=self.keep,
            batch_tokens=self.options.batch_tokens,
            advance=advance,
        )
        self._check(answered.errors)
        return answered

    def _check(self, errors: Sequence[str | None]) -> None:
        first = next((error for error in errors if error is not None), None)
        if first is not None and self.options.on_error == "fail":
            raise RequestError(first, hint="--on-error keep goes on, and writes why a row has no answer beside it")


def _check_apart(inputs: Sequence[str], files: Sequence[Path], output: Path) -> None:
    """Refuses an output that a later run would take for a part of its input."""
    folder = output.resolve()
    around = any(Path(name).is_dir() and folder.is_relative_to(Path(name).resolve()) for name in inputs)
    if around or any(file.resolve().is_relative_to(folder) for file in files):
        raise ConfigError(f"the output {output} lies within the input", hint="write to a folder beside it")


def _count_rows(source: Input, options: BulkOptions) -> int | None:
    """The rows of this shard, where the files state how many they have."""
    rows = source.count_rows()
    if rows is None:
        return None
    index, shards = options.shard
    parts = range(index, -(-rows // options.part_rows), shards)
    return sum(min(options.part_rows, rows - part * options.part_rows) for part in parts)


def _choose_format(output: Path, form: str | None, options: BulkOptions) -> str:
    of_file = format_of(output)
    if form is not None and of_file not in {None, form}:
        raise ConfigError(f"the format is {form}, and the name of {output} says {of_file}")
    chosen = form or of_file or "parquet"
    check_format(chosen)
    if of_file is not None and options.shard != (0, 1):
        raise ConfigError(f"a shard writes parts into a folder, and {output} is a file")
    if chosen == ARRAY and (options.keep != () or options.on_error != "fail"):
        raise ConfigError("an array has no columns of its own", hint="keep nothing, and end at rows that fail")
    return chosen


def _choose_task(task: Task, options: BulkOptions) -> Task:
    if options.form != VectorForm() and not isinstance(task, EmbedTask):
        raise ConfigError(f"vectors come from the task embed, and the package's is {task.name}")
    return task if options.prompt is None else task.with_prompt(options.prompt)
