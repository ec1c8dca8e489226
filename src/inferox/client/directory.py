"""The models of a server, and the choice among them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from inferox.client.answer_border import reading
from inferox.client.answers import ModelMetadata, ModelState, TensorMetadata
from inferox.client.config import check_model_name
from inferox.client.deadline import Deadline
from inferox.client.tasks import VECTORS
from inferox.client.transport import Transport
from inferox.core import Fields, RequestError, ResponseError, parse_json, shown
from inferox.tasks.vector_forms import VectorForm


class Directory:
    """Lists, describes and chooses models of a server.

    Args:
        transport: Sends the requests.
        model: The model of calls that do not name one; ``None`` for the only one that fits.
    """

    def __init__(self, transport: Transport, model: str | None) -> None:
        self._transport = transport
        self._model = model
        self._chosen: dict[str, str] = {}
        self._dimensions: dict[str, int] = {}

    async def choose(self, model: str | None, task: str, outer: Deadline | None) -> str:
        """Chooses the model of a call.

        Args:
            model: The model that the call names; ``None`` if it names none.
            task: The task of the call.
            outer: The deadline of the call.

        Raises:
            RequestError: If the given name is invalid; or if none is given, and not exactly one model of the server has
                the task.
            InferoxError: See ``Transport.send``.
        """
        if model is not None:
            check_model_name(model)
            return model
        named = self._model or self._chosen.get(task)
        if named is not None:
            return named
        names = [state.name for state in await self.list(outer)]
        found = [name for name in names if len(names) == 1 or (await self.describe(name, outer)).task == task]
        if not found:
            raise RequestError(
                f"the server has no model for the task {task}", hint=f"this server has {', '.join(names) or 'none'}"
            )
        if len(found) > 1:
            raise RequestError(
                f"the call names no model, but the server has {len(found)} for the task {task}: {', '.join(found)}",
                hint="name one with model=",
            )
        self._chosen[task] = found[0]
        return found[0]

    async def list(self, outer: Deadline | None = None) -> list[ModelState]:
        """Lists the models, sorted by name.

        Args:
            outer: The deadline of the call; ``None`` for none.

        Raises:
            InferoxError: See ``Transport.send``.
        """
        path = "/v2/repository/index"
        response = await self._transport.send(
            "POST", path, lambda _left_s: (b"{}", {"content-type": "application/json"}), outer=outer
        )
        with reading(f"the server's answer at {path}"):
            items = parse_json(response.content, "the list of models")
            if not isinstance(items, list):
                raise ValueError(f"the list of models is {shown(items)}")  # noqa: TRY004 - foreign data
            states = [_read_state(Fields(item, "a model")) for item in items]
        return sorted(states, key=lambda state: state.name)

    async def describe(self, name: str, outer: Deadline | None = None) -> ModelMetadata:
        """Returns the metadata of a model.

        Args:
            name: Its name.
            outer: The deadline of the call; ``None`` for none.

        Raises:
            ModelNotFoundError: If there is none of that name.
            InferoxError: See ``Transport.send``.
        """
        path = model_path(name)
        metadata = await self._transport.ask("GET", path, outer=outer)
        config = await self._transport.ask("GET", f"{path}/config", outer=outer)
        with reading(f"the server's answer at {path}"):
            found = Fields(parse_json(metadata.content, "the metadata"), "the metadata")
            configured = Fields(parse_json(config.content, "the configuration"), "the configuration")
            parameters = Fields(configured.optional("parameters", dict) or {}, "the parameters")
            task = Fields(parameters.optional("task", dict) or {}, "the parameter 'task'")
            return ModelMetadata(
                found.required("name", str),
                found.texts("versions") if found.optional("versions", list) is not None else (),
                found.optional("platform", str) or "",
                task.optional("string_value", str),
                _read_prompts(parameters),
                found.map("inputs", _read_tensor),
                found.map("outputs", _read_tensor),
            )

    async def find_dimension(self, name: str, outer: Deadline | None = None) -> int:
        """Returns the length of a model's vectors; 0 if the server does not report it.

        Args:
            name: The name of the model.
            outer: The deadline of the call; ``None`` for none.

        Raises:
            RequestError: If the model does not make vectors.
            InferoxError: See ``describe``.
        """
        found = await self.describe(name, outer)
        shapes = [tensor.shape for tensor in found.outputs if tensor.name == VECTORS]
        if not shapes:
            raise RequestError(f"{name!r} is a model for the task {found.task}, which does not make vectors")
        return max(0, *shapes[0][-1:], 0)

    async def check_form(self, name: str, form: VectorForm, outer: Deadline | None) -> None:
        """Checks that a model's vectors can be given a form, before any text is sent.

        It asks the server only where the vectors may be too short. Where the server does not say how long they are,
        the answer decides.

        Args:
            name: The name of the model.
            form: The form.
            outer: The deadline of the call; ``None`` for none.

        Raises:
            RequestError: If the vectors are shorter than the form requests.
            InferoxError: If the server cannot be reached.
        """
        if form.truncate_dim is None or form.truncate_dim <= self._dimensions.get(name, 0):
            return
        try:
            dimension = await self.find_dimension(name, outer)
        except (RequestError, ResponseError):
            return  # the request with the texts says what is wrong, for its own task
        self._dimensions[name] = dimension
        if dimension:
            form.check_dimension(dimension)


def model_path(name: str) -> str:
    """Returns the path of a model.

    Args:
        name: Its name, which may have an owner, and so a slash.
    """
    return f"/v2/models/{quote(name, safe='/')}"


def _read_state(item: Fields) -> ModelState:
    return ModelState(
        item.required("name", str),
        item.optional("version", str) or "",
        item.required("state", str) == "READY",
        item.optional("reason", str) or "",
    )


def _read_prompts(parameters: Fields) -> dict[str, str] | None:
    told = Fields(parameters.optional("prompts", dict) or {}, "the parameter 'prompts'")
    text = told.optional("string_value", str)
    if text is None:
        return None
    return Fields({"prompts": parse_json(text.encode(), "the prompts")}, "the parameters").text_by_name("prompts")


def _read_tensor(item: Any) -> TensorMetadata:
    found = Fields(item, "a tensor")
    shape = found.required("shape", list)
    if not all(type(dim) is int and dim >= -1 for dim in shape):
        raise ValueError(f"a tensor has the shape {shown(shape)}")
    return TensorMetadata(found.required("name", str), found.required("datatype", str), tuple(shape))
