"""Inference on a server: a single request, or as many as the rows of a call need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy.typing as npt

from inferox.client.answer_border import reading
from inferox.client.answers import InferAnswer
from inferox.client.config import ClientConfig
from inferox.client.deadline import Deadline
from inferox.client.directory import model_path
from inferox.client.division import divide
from inferox.client.rows import Rows
from inferox.client.tasks import RemoteTask
from inferox.client.tensors import HEADER_LENGTH, read_answer, to_bytes_array, write_request
from inferox.client.transport import Content, Transport
from inferox.core import Fields, RequestError, ResponseError, counted, counting_items_from, printable, shown

_MICROSECONDS = 1_000_000


class Inference:
    """Computes requests on a server.

    Args:
        transport: Sends the requests.
        config: The settings: the size of requests, and their number at a time.
    """

    def __init__(self, transport: Transport, config: ClientConfig) -> None:
        self._transport = transport
        self._config = config

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, npt.ArrayLike],
        *,
        outputs: Sequence[str],
        parameters: Mapping[str, Any],
        version: str | None = None,
        outer: Deadline | None = None,
    ) -> InferAnswer:
        """Computes one request; see ``AsyncClient.infer``.

        Args:
            model: The model.
            inputs: The tensors, by name.
            outputs: The names of the requested outputs; empty for all.
            parameters: Parameters of the request.
            version: The version, or a label; ``None`` for the version loaded last.
            outer: The deadline of the call; ``None`` for none.

        Raises:
            InferoxError: If the server reports an error or cannot be reached.
        """

        def write(left_s: float) -> Content:
            # The server need not compute an answer that would come too late. 0 would mean no limit.
            timeout = max(1, int(left_s * _MICROSECONDS))
            body, json_bytes = write_request(inputs, outputs, {"timeout": timeout, **parameters})
            return body, {"content-type": "application/octet-stream", HEADER_LENGTH: str(json_bytes)}

        is_text = isinstance(version, str) and version and printable(version) == version
        if version is not None and (not is_text or version in {".", ".."}):  # which lead to another path
            raise RequestError(f"version must be the version of a model or a label, but is {version!r}")
        _check_form(inputs, outputs, parameters)
        path = model_path(model) + ("" if version is None else f"/versions/{quote(version, safe='')}") + "/infer"
        response = await self._transport.send("POST", path, write, outer=outer)
        tensors, head = read_answer(response.content, response.headers.get(HEADER_LENGTH))
        if missing := [name for name in outputs if name not in tensors]:
            raise ResponseError(f"the server's answer lacks the output {missing[0]!r}")
        with reading(f"the server's answer at {path}"):
            fields = Fields(head, "its JSON")
            told = Fields(fields.optional("parameters", dict) or {}, "its parameters")
            return InferAnswer(
                tensors,
                fields.required("model_name", str),
                fields.optional("model_version", str),
                told.optional("inferox_artifact", str),
                told.optional("inferox_parity", str),
                told.optional("inferox_embedding_space", str),
                told.optional_count("inferox_cut_inputs") or 0,
                _read_items(told.optional("inferox_cut_items", str)),
                response.headers.get("x-request-id"),
            )

    async def compute(
        self,
        task: RemoteTask,
        model: str,
        rows: Rows,
        *,
        parameters: Mapping[str, Any],
        outer: Deadline | None,
        check: Callable[[str, str | None], None] | None = None,
    ) -> list[InferAnswer]:
        """Computes any number of rows, split into requests of which several are sent at a time.

        Args:
            task: The task of the rows.
            model: The model.
            rows: The rows.
            parameters: Parameters of every request.
            outer: The deadline of the call; ``None`` for none.
            check: Called with the model and the embedding space of each answer; raises to reject it.

        Returns:
            The answers, in the order of the rows.

        Raises:
            InferoxError: The first failure of a request; the index of an item counts over all rows.
        """
        parts = _number(divide(rows, most_rows=self._config.request_rows, most_bytes=self._config.request_bytes))
        answers: dict[int, InferAnswer] = {}

        async def work() -> None:
            for start, part in parts:
                answer = await self._ask(task, model, start=start, part=part, parameters=parameters, outer=outer)
                if check is not None:
                    check(model, answer.embedding_space)
                answers[start] = answer

        await _run_all([asyncio.ensure_future(work()) for _ in range(self._config.concurrency)])
        return [answers[start] for start in sorted(answers)]

    async def _ask(
        self,
        task: RemoteTask,
        model: str,
        *,
        start: int,
        part: Sequence[tuple[bytes, ...]],
        parameters: Mapping[str, Any],
        outer: Deadline | None,
    ) -> InferAnswer:
        columns = zip(task.inputs, zip(*part, strict=True), strict=True)
        inputs = {name: to_bytes_array(column) for name, column in columns}
        with counting_items_from(start):
            answer = await self.infer(model, inputs, outputs=task.output_names, parameters=parameters, outer=outer)
        task.check(answer.outputs, start, len(part))
        if answer.cut_inputs > len(part):
            raise ResponseError(f"the server says that it cut {counted(answer.cut_inputs, 'text')} of {len(part)}")
        return answer


def _read_items(text: str | None) -> tuple[int, ...]:
    """Parses the comma-separated item indices of a server."""
    return tuple(int(item) for item in text.split(",")) if text else ()


def _check_form(inputs: Any, outputs: Any, parameters: Any) -> None:
    """Checks the types of the caller's arguments, which may be anything."""
    for name, given in (("inputs", inputs), ("parameters", parameters)):
        if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
            raise RequestError(f"{name} must map names to values, but is {shown(given)}")
    if not isinstance(outputs, list | tuple) or not all(isinstance(name, str) for name in outputs):
        raise RequestError(f"outputs must be a list of names, but is {shown(outputs)}")


def _number(parts: Iterator[list[tuple[bytes, ...]]]) -> Iterator[tuple[int, list[tuple[bytes, ...]]]]:
    """Yields parts with the index of their first row."""
    start = 0
    for part in parts:
        yield start, part
        start += len(part)


async def _run_all(running: Sequence[asyncio.Future[None]]) -> None:
    """Waits for all futures; the first failure cancels the others."""
    try:
        await asyncio.gather(*running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
