"""A program that makes calls with Triton's own clients: it reads them as lines of JSON, and writes a line for each.

It runs in an environment of its own, as those clients need other versions of libraries than Inferox is tested with.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

AT_ONCE = 3
"""The number of requests in a stream before the first of its answers is read."""


def to_plain(value: Any) -> Any:
    """Converts a client's results to JSON values."""
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist())
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    return value.decode("latin-1") if isinstance(value, bytes) else value


class Caller:
    """Calls one of the clients.

    Args:
        kind: Its module, below ``tritonclient``.
        url: The address of the server.
    """

    def __init__(self, kind: str, url: str) -> None:
        self._module = importlib.import_module(f"tritonclient.{kind}")
        self._is_grpc = kind.startswith("grpc")
        self._client = self._module.InferenceServerClient(url)

    async def call(self, method: str, arguments: Mapping[str, Any]) -> Any:
        """Calls a method."""
        if method == "infer":
            return self._read(await self._infer(**arguments))
        if method == "stream":
            return await self._stream(**arguments)
        if method == "async_infer":
            inputs = [self._make_input(**item) for item in arguments["inputs"]]
            return self._read(self._client.async_infer(arguments["model_name"], inputs).get_result())
        more = {"as_json": True} if self._is_grpc and method.startswith("get_") else {}
        return await self._finish(getattr(self._client, method)(**arguments, **more))

    async def _infer(self, inputs: list[Any], outputs: list[Any] | None = None, **options: Any) -> Any:
        asked = [self._make_input(**item) for item in inputs]
        wanted = None if outputs is None else [self._make_output(**item) for item in outputs]
        return await self._finish(self._client.infer(inputs=asked, outputs=wanted, **options))

    async def _stream(self, requests: list[dict[str, Any]]) -> list[Any]:
        asked = [
            {**request, "inputs": [self._make_input(**item) for item in request["inputs"]]} for request in requests
        ]
        if hasattr(self._client, "stream_infer"):

            async def all_requests() -> Any:
                for request in asked:
                    yield request

            answers = [item async for item in self._client.stream_infer(all_requests())]
        else:
            answers = []
            self._client.start_stream(lambda result, error: answers.append((result, error)))
            for request in asked:
                self._client.async_stream_infer(**request)
            self._client.stop_stream()
        return [{"error": error.message()} if error else self._read(result) for result, error in answers]

    async def _finish(self, given: Any) -> Any:
        return await given if inspect.isawaitable(given) else given

    def _make_input(
        self, name: str, datatype: str, data: Any, shape: list[int] | None = None, binary: bool = True
    ) -> Any:
        if datatype == "BYTES":
            array = np.array(data, np.object_)
            array = np.array([str(item).encode("latin-1") for item in array.flat], np.object_).reshape(array.shape)
        else:
            array = np.array(data, triton_to_np_dtype(datatype))
        made = self._module.InferInput(name, shape or list(array.shape), datatype)
        made.set_data_from_numpy(array, **({} if self._is_grpc else {"binary_data": binary}))
        return made

    def _make_output(self, name: str, binary: bool = True) -> Any:
        more = {} if self._is_grpc else {"binary_data": binary}
        return self._module.InferRequestedOutput(name, **more)

    def _read(self, result: Any) -> Any:
        response = result.get_response(as_json=True) if self._is_grpc else result.get_response()
        outputs = {item["name"]: result.as_numpy(item["name"]) for item in response["outputs"]}
        return {
            "response": {name: value for name, value in response.items() if "output" not in name},
            "dtypes": {name: str(array.dtype) for name, array in outputs.items()},
            "outputs": {name: to_plain(array) for name, array in outputs.items()},
        }


async def main(kind: str, url: str) -> None:
    """Makes calls until there are no more."""
    caller = Caller(kind, url)
    read: Callable[[], str] = sys.stdin.readline
    while line := await asyncio.to_thread(read):
        asked = json.loads(line)
        try:
            told = {"value": await caller.call(asked["method"], asked["arguments"])}
        except InferenceServerException as error:
            told = {"error": error.message(), "status": error.status()}
        print(json.dumps(told), flush=True)  # noqa: T201 - a program


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
