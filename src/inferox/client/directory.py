"""The models that a server has, and which of them a call means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from inferox.client.answers import ModelMetadata, ModelState, TensorMetadata
from inferox.client.deadline import Deadline
from inferox.client.tasks import VECTORS
from inferox.client.transport import Transport
from inferox.core import RequestError, ResponseError


class Directory:
    """Asks a server for its models.

    Args:
        transport: What sends requests.
        model: The model of calls that name none; ``None`` for the only one that fits.
    """

    def __init__(self, transport: Transport, model: str | None) -> None:
        self._transport = transport
        self._model = model
        self._chosen: dict[str, str] = {}

    async def choose(self, model: str | None, task: str, outer: Deadline | None) -> str:
        """The model that a call means.

        Args:
            model: What the call names; ``None`` where it names none.
            task: The task that the call needs.
            outer: The deadline of the call.

        Raises:
            RequestError: If it names none, and not exactly one of the server's models has the task.
            InferoxError: See ``Transport.send``.
        """
        named = model or self._model or self._chosen.get(task)
        if named is not None:
            return named
        names = [state.name for state in await self.list(outer)]
        found = [name for name in names if len(names) == 1 or (await self.describe(name, outer)).task == task]
        if len(found) != 1:
            there = ", ".join(found or names) or "no models"
            raise RequestError(
                f"the call names no model, and of the task {task} the server has {len(found)}: {there}",
                hint="name one with model=",
            )
        self._chosen[task] = found[0]
        return found[0]

    async def list(self, outer: Deadline | None = None) -> list[ModelState]:
        """The models, by name.

        Raises:
            InferoxError: See ``Transport.send``.
        """
        path = "/v2/repository/index"
        response = await self._transport.send(
            "POST", path, lambda _left_s: (b"{}", {"content-type": "application/json"}), outer=outer
        )
        with reading(path):
            items = response.json()
            states = [
                ModelState(item["name"], item.get("version", ""), item["state"] == "READY", item.get("reason", ""))
                for item in items
            ]
        return sorted(states, key=lambda state: state.name)

    async def describe(self, name: str, outer: Deadline | None = None) -> ModelMetadata:
        """What a model is.

        Raises:
            ModelNotFoundError: If there is none of that name.
            InferoxError: See ``Transport.send``.
        """
        path = model_path(name)
        metadata = (await self._transport.ask("GET", path, outer=outer)).json
        config = (await self._transport.ask("GET", f"{path}/config", outer=outer)).json
        with reading(path):
            found, configured = metadata(), config()
            task = configured.get("parameters", {}).get("task", {}).get("string_value")
            return ModelMetadata(
                found["name"],
                tuple(found.get("versions", ())),
                found.get("platform", ""),
                task,
                tuple(map(_read_tensor, found["inputs"])),
                tuple(map(_read_tensor, found["outputs"])),
            )

    async def find_dimension(self, name: str, outer: Deadline | None = None) -> int:
        """The length of a model's vectors.

        Raises:
            RequestError: If it makes none.
            InferoxError: See ``describe``.
        """
        found = await self.describe(name, outer)
        shapes = [tensor.shape for tensor in found.outputs if tensor.name == VECTORS]
        if not shapes:
            raise RequestError(f"{name!r} is a model for the task {found.task}, which makes no vectors")
        return max(0, shapes[0][-1])


def model_path(name: str) -> str:
    """The path of a model.

    Args:
        name: Its name, which may have an owner, and so a slash.
    """
    return f"/v2/models/{quote(name, safe='/')}"


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Makes an error of Inferox of what goes wrong while an answer is read.

    Args:
        path: What was asked for.

    Raises:
        ResponseError: If something does.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ResponseError(
            f"the server's answer at {path} is not one of the Open Inference Protocol: {type(error).__name__}: {error}",
            hint="is this the address of inferox serve, without a path?",
        ) from error


def _read_tensor(item: Mapping[str, Any]) -> TensorMetadata:
    return TensorMetadata(item["name"], item["datatype"], tuple(item["shape"]))
