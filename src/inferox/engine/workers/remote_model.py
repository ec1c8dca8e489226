"""A model that worker processes compute."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from inferox.core import InferoxError, LoadError, OverloadedError, ShuttingDownError
from inferox.engine.answer import Answer
from inferox.engine.items import to_items
from inferox.engine.model_info import ModelInfo
from inferox.engine.monitor import Monitor
from inferox.engine.request import RequestOptions
from inferox.engine.served_model import ServedModel
from inferox.engine.stats import ModelStats
from inferox.engine.unexpected import to_failure
from inferox.engine.workers.broadcast import count_in
from inferox.engine.workers.items import to_sendable
from inferox.engine.workers.messages import Detokenize, Load, Message, Tokenize
from inferox.engine.workers.pooled_request import Part, PooledRequest
from inferox.engine.workers.pooled_stats import add_up
from inferox.tasks.texts import check_texts
from inferox.tasks.token import Token, refuse_impossible_ids

if TYPE_CHECKING:
    from inferox.engine.workers.pool import WorkerPool

Value = TypeVar("Value")


class RemoteModel(ServedModel):
    """A model that worker processes compute.

    Args:
        pool: The pool of workers.
        source: The package or function that they load.
        info: The description of the loaded model.
        options: The options for loading it.
        module_paths: The import path for Python modules; ``None`` for the workers' own.

    Attributes:
        key: The key that identifies it among the models of the pool.
    """

    def __init__(
        self,
        pool: WorkerPool,
        source: str,
        info: ModelInfo,
        options: Mapping[str, Any],
        module_paths: Sequence[str] | None,
    ) -> None:
        self.name, self.version = info.name, info.version
        self.key = f"{info.name}\0{info.version}"
        self._pool = pool
        self._source = source
        self._info = info
        self._options = dict(options)
        if module_paths is None and options.get("start") != "fast":
            # The first worker has checked it on all samples, so other workers of this machine need not.
            self._options["verified"] = info.artifact
        self._module_paths = module_paths
        self._probe: Any = None
        self._condition = Monitor()
        self._open = 0
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """True if it accepts no more requests."""
        return self._is_closed

    def make_load(self, call: int) -> Load:
        """Makes the message that has a worker load it.

        Args:
            call: The number of the call.
        """
        paths = None if self._module_paths is None else list(self._module_paths)
        return Load(call, self._source, self.name, self.version, self._options, paths, self._probe)

    def ask(
        self,
        items: Sequence[Any],
        options: RequestOptions,
        arrived_s: float,
        *,
        is_patient: bool = False,  # noqa: ARG002 - nothing is computed here
    ) -> Future[Answer]:
        """Accepts a request; see ``ServedModel``."""
        request = PooledRequest(self, to_items(items), options, arrived_s)
        with self._condition:
            if self._is_closed:
                raise ShuttingDownError("the model is being unloaded", hint="send the request again")
            self._open += 1
        # Not with the request itself, which has the future: the two would be a cycle of garbage.
        request.future.add_done_callback(partial(self._note_end, arrived_s, len(request.items), options.owner))
        try:
            self._pool.take(Part.of_all(request))
        except BaseException:
            request.future.cancel()
            raise
        return request.future

    def tokenize(
        self, texts: Sequence[str], *, prompt: str | None, add_special_tokens: bool
    ) -> Future[list[list[Token]]]:
        """Splits texts into tokens; see ``ServedModel``."""
        given = list(texts)
        check_texts(given)
        return self._call(
            lambda call: Tokenize(call, self.name, self.version, given, prompt, add_special_tokens), list[list[Token]]
        )

    def detokenize(self, ids: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> Future[list[str]]:
        """Decodes tokens to texts; see ``ServedModel``."""
        given = [list(some) for some in ids]
        refuse_impossible_ids(given)  # some of them could not even be sent
        return self._call(lambda call: Detokenize(call, self.name, self.version, given, skip_special_tokens), list[str])

    def _call(self, make: Callable[[int], Message], kind: type[Value]) -> Future[Value]:
        """Calls the worker with the least work. The call is lost if the worker dies in the meantime."""
        links = self._pool.links_of(self.key)
        if not links:
            raise OverloadedError("no worker process is ready yet")
        value: Future[Value] = Future()

        def read(done: Future[Any]) -> None:
            with suppress(InvalidStateError):  # the caller no longer waits
                try:
                    value.set_result(msgspec.convert(done.result(), kind))
                except InvalidStateError:
                    raise
                except Exception as error:  # noqa: BLE001 - given to whoever waits for it
                    value.set_exception(to_failure("reading what a worker process has said", error))

        min(links, key=lambda link: link.cost).call(make).add_done_callback(read)
        return value

    def compute_again(self, request: PooledRequest) -> None:
        """Has a request that was partly computed recomputed as a whole by one worker.

        Args:
            request: The request, none of whose items is suspected any more.
        """
        self._pool.hand_on(Part(request, range(len(request.items)), was_admitted=True))

    def note_answer(self, part: Part) -> None:
        """Keeps an item that was answered, as a probe for workers that are started later.

        Args:
            part: The answered part.
        """
        if self._probe is None and len(part.rows):
            first = part.items[:1]
            # A view would keep the caller's whole array alive, and change with it.
            self._probe = to_sendable(first.copy() if isinstance(first, np.ndarray) else first)

    def compare(self, other: ModelInfo) -> LoadError | None:
        """Checks that another worker has loaded the same: vectors of two spaces must not be mixed.

        Args:
            other: The description of the model that the other has loaded.

        Returns:
            The error; ``None`` if their answers are interchangeable.
        """
        first = self._info
        if (first.embedding_space or first.artifact) == (other.embedding_space or other.artifact):
            return None
        return LoadError(f"a worker loaded {other.artifact}, where the first had loaded {first.artifact}")

    def find_fault(self, loaded: Future[Any]) -> InferoxError | None:
        """Explains why another worker cannot compute the model; ``None`` if it can.

        Args:
            loaded: The other worker's answer to the request to load it.
        """
        try:
            return self.compare(msgspec.convert(loaded.result(), ModelInfo))
        except Exception as error:  # noqa: BLE001 - given to the requests that wait for it
            return to_failure("reading what a worker process has loaded", error)

    def info(self) -> ModelInfo:
        """Describes the model, according to the worker that has had it for longest; see ``ServedModel``.

        Since loading, another artifact may have taken over, possibly a different one in each worker: answers state
        their own.
        """
        found, _ = count_in(self._pool.links_of(self.key), self)
        infos = [msgspec.convert(info, ModelInfo) for _, info in found]
        if not infos:
            return self._info
        return replace(infos[0], is_loaded=any(info.is_loaded for info in infos))

    def stats(self) -> ModelStats:
        """Returns the statistics of all workers together since each was started; see ``ServedModel``."""
        found, missing = count_in(self._pool.links_of(self.key), self)
        own = replace(self._pool.count(self.key), missing_workers=missing)
        return add_up([msgspec.convert(stats, ModelStats) for stats, _ in found], own=own)

    def close(self) -> None:
        """Stops accepting requests, waits until those accepted are answered, and has every worker unload it."""
        with self._condition:
            self._is_closed = True
            self._condition.wait_for(lambda: not self._open)
        self._pool.unload(self)

    def _note_end(self, arrived_s: float, rows: int, owner: str | None, _: Future[Answer]) -> None:
        if (trace := self._pool.trace) is not None:
            facts = {"model": self.name, "rows": rows, "owner": owner}
            trace.note_wait("request", arrived_s, time.monotonic(), **facts)
        with self._condition:
            self._open -= 1
            self._condition.notify_all()
