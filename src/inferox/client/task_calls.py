"""Calls of a package's task on a server: which model, in how many requests, and what was cut."""

from __future__ import annotations

from typing import Any

from inferox.client import tasks
from inferox.client.answers import InferAnswer
from inferox.client.deadline import Deadline, read_deadline
from inferox.client.directory import Directory
from inferox.client.inference import Inference
from inferox.client.rows import Rows
from inferox.client.spaces import EmbeddingSpaces
from inferox.client.tasks import RemoteTask
from inferox.client.truncation import find_truncated, warn_of_cuts
from inferox.core import InferoxError, RequestError, UnknownInputError
from inferox.tasks.truncation import check_truncation


class TaskCalls:
    """Computes the rows of a call by a model of the right task.

    Args:
        directory: The models of the server.
        inference: What computes rows on it.
        spaces: The embedding spaces of the vectors so far.
    """

    def __init__(self, directory: Directory, inference: Inference, spaces: EmbeddingSpaces) -> None:
        self._directory = directory
        self._inference = inference
        self._spaces = spaces

    async def answer(
        self, task: RemoteTask, model: str | None, rows: Rows, truncate: str, deadline_s: float | None
    ) -> tuple[list[Any], list[bool | None]]:
        """The result of each row, and whether its text was cut; ``None`` where the server does not say.

        Args:
            task: The task.
            model: The model; ``None`` for that of the client, or the only one of the server that has the task.
            rows: The rows.
            truncate: ``error``, ``warn`` or ``cut``.
            deadline_s: After how many seconds the whole call is given up; ``None`` for no limit but each request's own.

        Raises:
            InferoxError: What is wrong with the call, what the server says, or why it cannot be asked.
        """
        check_truncation(truncate)
        outer = read_deadline(deadline_s)
        name = await self._directory.choose(model, task.name, outer)
        answers = await self.compute(task, name, rows, truncate=truncate, outer=outer)
        results = [result for answer in answers for result in task.read(answer.outputs)]
        return results, find_truncated(answers, task.output_names[0])

    async def compute(
        self,
        task: RemoteTask,
        model: str,
        rows: Rows,
        *,
        truncate: str,
        outer: Deadline | None,
        prompt: str | None = None,
    ) -> list[InferAnswer]:
        """The answers of the requests into which the rows are divided, in their order.

        Args:
            task: The task.
            model: The model.
            rows: The rows.
            truncate: ``error``, ``warn`` or ``cut``.
            outer: The deadline of them all; ``None`` for none.
            prompt: The name of the prompt to put before each text; ``None`` for the model's default.

        Raises:
            InferoxError: As for ``answer``.
        """
        check_truncation(truncate)
        parameters: dict[str, Any] = {"truncate": truncate != "error"}
        if prompt is not None:
            parameters["prompt_name"] = prompt
        check = self._spaces.check if task is tasks.EMBED else None
        try:
            answers = await self._inference.compute(task, model, rows, parameters=parameters, outer=outer, check=check)
        except RequestError as error:
            # A model for another task lacks an input of this one, or an output.
            is_about_tensors = isinstance(error, UnknownInputError) or vars(error).get("field") == "outputs"
            if is_about_tensors and (other := await self._other_task(task, model, outer)):
                raise RequestError(f"{model!r} is a model for the task {other}, not for {task.name}") from error
            raise
        if truncate == "warn":
            warn_of_cuts(answers, sum(len(answer.outputs[task.output_names[0]]) for answer in answers))
        return answers

    async def _other_task(self, task: RemoteTask, model: str, outer: Deadline | None) -> str | None:
        """What a model is for, where that is another task; ``None`` where it is not known."""
        try:
            found = (await self._directory.describe(model, outer)).task
        except InferoxError:
            return None
        return None if found == task.name else found
