"""The protocol over gRPC: the handlers of its calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any

import grpc

from inferox.core import ModelNotFoundError, OverloadedError
from inferox.server.api_keys import ApiKeys
from inferox.server.call_options import ARTIFACT_HEADER, current_artifact
from inferox.server.early_refusal import EarlyRefusals
from inferox.server.failure import GRPC_CODES, INTERNAL, Failure, read_failure
from inferox.server.http_error import HttpError
from inferox.server.intake import Intake
from inferox.server.oip.grpc_infer import read_grpc_infer, write_grpc_infer
from inferox.server.oip.grpc_messages import INFERENCE, GrpcMessages
from inferox.server.oip.grpc_metadata import read_api_key, read_metadata
from inferox.server.oip.inference import Inference
from inferox.server.oip.model_description import configure_model, describe_model
from inferox.server.oip.repository_routes import NO_CONTROL, NOT_OFFERED
from inferox.server.oip.server_routes import describe_server, list_models
from inferox.server.request_observer import RequestObserver
from inferox.server.request_record import RequestRecord, choose_request_id, current_record
from inferox.server.service import Service
from inferox.server.trace_context import read_trace_context

_SERVICE = "GRPCInferenceService"
_PATH = f"/{INFERENCE}.{_SERVICE}"

_OK, _CANCELLED = "OK", "CANCELLED"

_NO_CONTROL = ("RepositoryModelLoad", "RepositoryModelUnload")

_NOT_OFFERED = (
    *(f"{kind}SharedMemory{what}" for kind in ("System", "Cuda") for what in ("Status", "Register", "Unregister")),
    "TraceSetting",
    "LogSettings",
)

_OPEN = frozenset({"ServerLive", "ServerReady"})
"""Methods that need no API key, for probes."""

_INFER = "ModelInfer"
_COMPUTING = frozenset({_INFER, "ModelStreamInfer"})

_STREAMED_AT_ONCE = 64
"""The number of requests of a stream that are computed while the first of them is unanswered."""

_REQUEST_ID = "x-request-id"

_logger = logging.getLogger(__name__)

Call = Callable[[Any], Awaitable[Any]]


class GrpcService:
    """Answers the calls of the protocol.

    Args:
        service: The service that holds the models.
        inference: Computes the requests.
        intake: Limits the requests and bytes in progress.
        keys: The API keys.
        early: Refuses calls before their messages are read.
        observer: Notified of each call.

    Attributes:
        may_answer: While it is not set, calls are computed, but their answers are held back.
    """

    def __init__(
        self,
        service: Service,
        inference: Inference,
        intake: Intake,
        keys: ApiKeys,
        *,
        early: EarlyRefusals,
        observer: RequestObserver,
    ) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self._observer = observer
        self._service = service
        self._inference = inference
        self._intake = intake
        self._keys = keys
        self._early = early
        self._messages = GrpcMessages(INFERENCE)
        self._calls: Mapping[str, Call] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            _INFER: self._infer,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._repository_index,
        }

    def handler(self) -> Any:
        """Returns the generic handler to register with the gRPC server."""
        handlers: dict[str, Any] = {}
        for method, taken, given in self._messages.methods(_SERVICE):
            # Messages are parsed here: gRPC would log each one that cannot be parsed, and leave its stream hanging.
            write = self._messages.of(given).SerializeToString
            if method in self._calls:
                is_open = method in _OPEN
                answer = self._answering(method, taken, self._calls[method], is_open=is_open)
                handlers[method] = grpc.unary_unary_rpc_method_handler(answer, response_serializer=write)
            else:
                handlers[method] = grpc.stream_stream_rpc_method_handler(self._stream, response_serializer=write)
        refusals = dict.fromkeys(_NO_CONTROL, (403, "not_allowed", NO_CONTROL))
        refusals |= dict.fromkeys(_NOT_OFFERED, (501, "not_offered", NOT_OFFERED))
        for method, refusal in refusals.items():
            handlers[method] = grpc.unary_unary_rpc_method_handler(self._refusing(method, *refusal))
        answering = grpc.method_handlers_generic_handler(f"{INFERENCE}.{_SERVICE}", handlers)
        return _Handlers(answering, self._refuse_early)

    async def _server_live(self, message: Any) -> Any:  # noqa: ARG002 - as every call
        return self._messages.make("ServerLiveResponse", {"live": True})

    async def _server_ready(self, message: Any) -> Any:  # noqa: ARG002 - as every call
        return self._messages.make("ServerReadyResponse", {"ready": self._service.why_not_ready() is None})

    async def _model_ready(self, message: Any) -> Any:
        is_ready = False
        with suppress(ModelNotFoundError, OverloadedError):  # it may still be loading
            info = self._inference.find_version(message.name, message.version or None)
            is_ready = self._service.why_not_ready(info.name) is None
        return self._messages.make("ModelReadyResponse", {"ready": is_ready})

    async def _server_metadata(self, message: Any) -> Any:  # noqa: ARG002 - as every call
        return self._messages.make("ServerMetadataResponse", describe_server())

    async def _model_metadata(self, message: Any) -> Any:
        info = self._inference.find_version(message.name, message.version or None)
        return self._messages.make("ModelMetadataResponse", describe_model(info, self._inference.find(info.name)))

    async def _model_config(self, message: Any) -> Any:
        info = self._inference.find_version(message.name, message.version or None)
        config = configure_model(info, self._inference.find(info.name))
        return self._messages.make("ModelConfigResponse", {"config": config})

    async def _model_statistics(self, message: Any) -> Any:
        told = await self._inference.describe_statistics(message.name or None, message.version or None)
        return self._messages.make("ModelStatisticsResponse", told)

    async def _repository_index(self, message: Any) -> Any:
        models = list_models(self._service, ready_only=message.ready)
        return self._messages.make("RepositoryIndexResponse", {"models": models})

    async def _infer(self, message: Any) -> Any:
        self._service.refuse_if_full(None, message.model_name)  # before its tensors are read
        size_bytes = message.ByteSize()
        with self._intake.admit(size_bytes) as held:
            self._intake.hold(held, size_bytes)
            request = read_grpc_infer(message)
            answer, outputs = await self._inference.compute(message.model_name, request)
            return write_grpc_infer(self._messages, message.model_name, request, answer, outputs)

    async def _stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[Any]:
        """Answers requests in order, computing several at a time."""
        waiting: asyncio.Queue[asyncio.Task[Any] | None] = asyncio.Queue(_STREAMED_AT_ONCE)
        begun: set[asyncio.Task[Any]] = set()
        metadata = read_metadata(context.invocation_metadata())
        key = read_api_key(metadata)

        async def read() -> None:
            try:
                async for content in requests:
                    task = asyncio.create_task(self._answer_streamed(content, key, metadata))
                    begun.add(task)
                    task.add_done_callback(begun.discard)
                    await waiting.put(task)
            finally:
                await waiting.put(None)

        reading = asyncio.create_task(read())
        try:
            while (task := await waiting.get()) is not None:
                answer = await task
                await self.may_answer.wait()
                yield answer
        except HttpError as error:  # about the API key, which is that of the whole stream
            request_id = choose_request_id()
            await _abort(explain(error, request_id), context, {_REQUEST_ID: request_id})
        finally:
            for task in (reading, *begun):
                task.cancel()
            while not waiting.empty():  # the reader would wait forever for room
                waiting.get_nowait()

    async def _answer_streamed(self, content: bytes, key: bytes | None, metadata: Mapping[str, str]) -> Any:
        """Answers a request within a stream; errors do not end the stream."""
        response, message_id = self._messages.of("ModelStreamInferResponse"), ""
        record = self._begin("ModelStreamInfer", content, metadata, choose_request_id())
        status = _OK
        try:
            message = self._messages.read("ModelInferRequest", content)
            message_id = message.id
            with self._keys.admit(key):
                return response(infer_response=await self._infer(message))
        except HttpError as error:
            status = _word_for(read_failure(error, record.id))
            raise
        except asyncio.CancelledError:
            status = _CANCELLED
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            failure = explain(error, record.id)
            status = _word_for(failure)
            told = response(error_message=failure.message)
            told.infer_response.id = message_id  # tells the client which request it answers
            return told
        finally:
            self._observer.end(record, status)

    def _answering(
        self, method: str, taken: str, call: Call, *, is_open: bool
    ) -> Callable[[bytes, Any], Awaitable[Any]]:
        """Wraps a call: authenticates and records it, and turns exceptions into a status."""

        async def answer(content: bytes, context: Any) -> Any:
            metadata = read_metadata(context.invocation_metadata())
            async with self._reporting(method, content, metadata, context):
                with nullcontext() if is_open else self._keys.admit(read_api_key(metadata)):
                    return await call(self._messages.read(taken, content))

        return answer

    def _refusing(self, method: str, status: int, code: str, why: str) -> Callable[[bytes, Any], Awaitable[Any]]:
        """Returns a handler of a method that is not offered; its messages are not read."""

        async def refuse(content: bytes, context: Any) -> None:
            metadata = read_metadata(context.invocation_metadata())
            async with self._reporting(method, content, metadata, context):
                with self._keys.admit(read_api_key(metadata)):
                    raise HttpError(status, code, why)

        return refuse

    def _refuse_early(self, details: Any) -> Any:
        """Returns a handler that refuses a call without reading its message; ``None`` to answer it as usual.

        A stream is not refused, since an error does not end it: each of its requests is, once it says which it is.

        Args:
            details: The method and the metadata; see ``grpc.HandlerCallDetails``.
        """
        if details.method != f"{_PATH}/{_INFER}" or not self._early.are_possible:
            return None
        metadata = read_metadata(details.invocation_metadata)
        try:
            refusal = self._early.find(read_api_key(metadata), tasks=None)
        except HttpError:  # reported on the usual path
            return None
        if refusal is None:
            return None

        async def refuse(messages: AsyncIterator[bytes], context: Any) -> None:  # noqa: ARG001 - left unread
            async with self._reporting(_INFER, b"", metadata, context) as record:
                record.owner = refusal.owner
                raise refusal.error

        # For gRPC a call with one message is a stream of one. gRPC reads a stream only as far as its handler does.
        return grpc.stream_unary_rpc_method_handler(refuse)

    @asynccontextmanager
    async def _reporting(
        self, method: str, content: bytes, metadata: Mapping[str, str], context: Any
    ) -> AsyncIterator[RequestRecord]:
        """Records a call that the block answers, and turns its exceptions into a status."""
        record = self._begin(method, content, metadata, choose_request_id(metadata.get(_REQUEST_ID, "")))
        more = {_REQUEST_ID: record.id} | ({} if record.trace is None else record.trace.headers)
        context.set_trailing_metadata(tuple(more.items()))
        status = _OK
        try:
            yield record
            await self.may_answer.wait()
        except asyncio.CancelledError:
            status = _CANCELLED
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            failure = explain(error, record.id)
            status = _word_for(failure)
            await self.may_answer.wait()
            await _abort(failure, context, more)
        finally:
            self._observer.end(record, status)

    def _begin(self, method: str, content: bytes, metadata: Mapping[str, str], request_id: str) -> RequestRecord:
        """Starts the record of a call, or of a request within a stream."""
        trace = read_trace_context(metadata)
        record = RequestRecord(request_id, "grpc", method, _PATH, trace=trace, received_bytes=len(content))
        current_record.set(record)
        current_artifact.set(metadata.get(ARTIFACT_HEADER))
        self._observer.begin(record, computes=method in _COMPUTING)
        return record


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """The handlers of all methods, and another one for calls that are refused.

    Args:
        answering: The handlers.
        refuse_early: Returns a handler that refuses a call; ``None`` if it is to be answered.
    """

    def __init__(self, answering: grpc.GenericRpcHandler, refuse_early: Callable[[Any], Any]) -> None:
        self._answering = answering
        self._refuse_early = refuse_early

    def service(self, handler_call_details: Any) -> Any:
        """Returns the handler of a call; ``None`` if the method is not known."""
        return self._refuse_early(handler_call_details) or self._answering.service(handler_call_details)


def explain(error: Exception, request_id: str) -> Failure:
    """Returns the report of an error, and logs it if it is an internal one.

    Args:
        error: The error.
        request_id: The id under which the operator finds it in the log.
    """
    failure = read_failure(error, request_id)
    if failure.status == INTERNAL:
        _logger.error("%s failed: %s", request_id, error, exc_info=_logger.isEnabledFor(logging.DEBUG))
    return failure


async def _abort(failure: Failure, context: Any, more: Mapping[str, str]) -> None:
    context.set_trailing_metadata((*failure.headers.items(), *more.items()))
    await context.abort(getattr(grpc.StatusCode, _word_for(failure)), failure.message)


def _word_for(failure: Failure) -> str:
    return GRPC_CODES[failure.status]
