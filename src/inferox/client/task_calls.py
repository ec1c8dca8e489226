"""Calls of a package's task on a server: choosing the model, computing the rows, and reporting cut texts."""

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
    """Computes the rows of a call with a model of the right task.

    Args:
        directory: The models of the server.
        inference: Computes rows on the server.
        spaces: The embedding spaces of the vectors so far.
    """

    def __init__(self, directory: Directory, inference: Inference, spaces: EmbeddingSpaces) -> None:
        self._directory = directory
        self._inference = inference
        self._spaces = spaces

    async def answer(
        self, task: RemoteTask, model: str | None, rows: Rows, truncate: str, deadline_s: float | None
    ) -> tuple[list[Any], list[bool | None]]:
        """Returns the result of each row, and whether its text was cut; ``None`` if the server does not report that.

        Args:
            task: The task.
            model: The model; ``None`` for the client's default, or else the only model of the server with the task.
            rows: The rows.
            truncate: ``error``, ``warn`` or ``cut``.
            deadline_s: The time after which the whole call is given up, in seconds; ``None`` for only the time limit of
                each request.

        Raises:
            InferoxError: If the call is invalid, the server reports an error, or it cannot be reached.
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
        """Returns the answers of the requests into which the rows are split, in order.

        Args:
            task: The task.
            model: The model.
            rows: The rows.
            truncate: ``error``, ``warn`` or ``cut``.
            outer: The deadline of the call; ``None`` for none.
            prompt: The name of the prompt to put before each text; ``None`` for the model's default.

        Raises:
            InferoxError: See ``answer``.
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
        """Returns the task of a model, if it is another one; ``None`` if it is not, or is unknown."""
        try:
            found = (await self._directory.describe(model, outer)).task
        except InferoxError:
            return None
        return None if found == task.name else found
