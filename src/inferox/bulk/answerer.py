"""Answers for blocks of rows, as a bulk run or an actor of a cluster computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from inferox.bulk.answers import Answered, answer_names, compute_window
from inferox.bulk.options import BulkOptions
from inferox.bulk.questions import Questions
from inferox.bulk.rows import Rows
from inferox.bulk.windows import Window, encode_window
from inferox.bulk.writers.writer import ERROR, Schema
from inferox.core import ConfigError, RequestError
from inferox.loading import TaskModel
from inferox.tasks import EmbedTask, Task, VectorForm


@dataclass(frozen=True)
class Answerer:
    """A model with the options of a bulk run.

    Attributes:
        model: The model.
        task: Its task, with the chosen prompt.
        questions: Makes items from rows.
        options: The options of the bulk run.
        can_keep_errors: Whether the output has a place for the errors of rows, as all formats but arrays have.
    """

    model: TaskModel
    task: Task
    questions: Questions
    options: BulkOptions
    can_keep_errors: bool = True

    @classmethod
    def of(cls, model: TaskModel, options: BulkOptions, *, can_keep_errors: bool = True) -> Answerer:
        """Combines a model and the options of a bulk run.

        Args:
            model: The model.
            options: The options.
            can_keep_errors: Whether the output has a place for the errors of rows.

        Raises:
            ConfigError: If an option does not fit the model's task.
            RequestError: If the model has no such prompt.
        """
        task = model.task
        if options.form != VectorForm() and not isinstance(task, EmbedTask):
            raise ConfigError(f"vectors come from the task embed, but the package's is {task.name}")
        if isinstance(task, EmbedTask):
            options.form.check_dimension(task.dimension)
        chosen = task if options.prompt is None else task.with_prompt(options.prompt)
        questions = Questions.of_task(task.name, options.column, options.pair_column, options.query)
        return cls(model, chosen, questions, options, can_keep_errors)

    def check_kept(self, keep: Sequence[str]) -> None:
        """Refuses kept columns that have the names of answer columns.

        Args:
            keep: The columns that are copied to the output.

        Raises:
            ConfigError: If there is one.
        """
        taken = [*answer_names(self.task), *([ERROR] if self.options.on_error == "keep" else [])]
        for name in keep:
            if name in taken:
                raise ConfigError(
                    f"the input has a column {name!r}, which is also the name of an answer column",
                    hint="choose the columns to copy with --keep",
                )

    def make_schema(self) -> Schema:
        """Makes the schema of the output."""
        metadata = {
            "inferox.model": self.model.name,
            "inferox.artifact": self.model.metadata.artifact,
            "inferox.embedding_space": self.model.metadata.embedding_space or "",
        }
        return Schema(metadata, has_errors=self.options.on_error == "keep")

    def encode(
        self, rows: Rows, *, part: int = 0, is_last: bool = True, share: tuple[float, float] = (0.0, 1.0)
    ) -> Window:
        """Tokenizes rows that are computed together; see ``encode_window``.

        Args:
            rows: The rows.
            part: The number of their part.
            is_last: Whether the part ends with them.
            share: The shares of the input's bytes before them, and up to their end.
        """
        return encode_window(
            self.task, self.questions, rows, part=part, is_last=is_last, truncate=self.options.truncate, share=share
        )

    def compute(
        self,
        window: Window,
        keep: Sequence[str],
        advance: Callable[[int], None] = lambda _rows: None,
        name_row: Callable[[int], str] = lambda place: f"row {place + 1:,}",
    ) -> Answered:
        """Computes the answers of a window.

        Args:
            window: The rows.
            keep: The columns that are copied to the output.
            advance: Called with the number of rows done since the last call, batch by batch.
            name_row: Names a row of the window, by its index, for the first error.

        Raises:
            RequestError: If a row fails and ``on_error`` is ``fail``.
            BackendError: If the runtime fails.
        """
        self._check(window.errors, window.rows, name_row)
        options = self.options
        answered = compute_window(
            self.model.model,
            self.task,
            options.form,
            window,
            keep=tuple(keep),
            batch_tokens=options.batch_tokens,
            advance=advance,
        )
        return replace(answered, first_error=self._check(answered.errors, window.rows, name_row))

    def _check(self, errors: Sequence[str | None], rows: Rows, name_row: Callable[[int], str]) -> str | None:
        """Returns the first error, with the name of its row; raises it if ``on_error`` is ``fail``."""
        place = next((place for place, error in enumerate(errors) if error is not None), None)
        if place is None:
            return None
        # The error of a row that cannot be read names the line and the file already.
        said = rows.errors[place] or f"{name_row(place)}: {errors[place]}"
        if self.options.on_error != "fail":
            return said
        hint = "--on-error keep continues, and writes the reason beside each such row"
        if not self.can_keep_errors:
            hint = "correct the row, or write another format, such as .parquet, where --on-error keep continues"
        raise RequestError(said, hint=hint)
