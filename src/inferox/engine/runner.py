"""A loaded model with its queue of requests, and the threads that compute them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import Lock, Thread
from typing import Any, TypeVar

from inferox.core import DeviceId, ExecutionError, InferoxError, RequestError, Trace
from inferox.engine.answer import Answer
from inferox.engine.answer_cache import AnswerCache
from inferox.engine.artifact_cost import CostBook
from inferox.engine.config import EngineConfig
from inferox.engine.delivery import Delivery
from inferox.engine.delivery_thread import DeliveryThread
from inferox.engine.executor import BatchExecutor, HandOver
from inferox.engine.exit import end_at_exit
from inferox.engine.lateness import Lateness
from inferox.engine.lineup import Lineup
from inferox.engine.memory_budget import MemoryBudget
from inferox.engine.model_info import ModelInfo
from inferox.engine.queue import RequestQueue
from inferox.engine.queue_entry import Part
from inferox.engine.request import Request, RequestOptions, Row
from inferox.engine.request_maker import RequestMaker
from inferox.engine.served_model import ServedModel
from inferox.engine.stats import ModelStats, StatsRecorder
from inferox.engine.turns import Turns, refuse_if_computing
from inferox.engine.unexpected import to_failure
from inferox.engine.watch import Watch
from inferox.engine.workload import Workload
from inferox.loading import PlannedLoad, TaskModel
from inferox.tasks import RawTask, Task
from inferox.tasks.text_task import TextTask
from inferox.tasks.token import Token

Value = TypeVar("Value")

_logger = logging.getLogger(__name__)


class ModelRunner(ServedModel):
    """Computes the requests for one model in batches of rows of similar length, across requests.

    Args:
        name: The name of the model in the engine.
        version: Its version.
        loaded: The model; it is closed with this object.
        config: The settings of the engine.
        turns: Grants the turns on a device.
        memory: The memory budget of the engine.
        trace: Records events; ``None`` for no trace.
        planned: The package of the model, whose other artifacts take over if this one fails; ``None`` for a model
            without a package.
        watch: Told of what is done; ``None`` for no watch.
    """

    def __init__(
        self,
        name: str,
        version: str,
        loaded: TaskModel,
        config: EngineConfig,
        *,
        turns: Callable[[DeviceId], Turns],
        memory: MemoryBudget,
        trace: Trace | None = None,
        planned: PlannedLoad | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.name = name
        self.version = version
        self._task = loaded.task
        self._signature = loaded.signature if isinstance(loaded.task, RawTask) else None
        self._turns = turns
        watch = watch or Watch()
        self._recorder, self._cache = StatsRecorder(), AnswerCache(config.cache_bytes)
        self._queue = RequestQueue(max_tokens=config.max_waiting_tokens, lanes=loaded.model.max_concurrency)
        self._delivery = Delivery(
            name, version, end_row=self._queue.end_row, cache=self._cache, recorder=self._recorder
        )
        self._input_names = loaded.signature.input_names
        self._costs = CostBook(planned, loaded.task.name)
        # The objects made here hold no reference to this one, so that everything is freed together with it.
        make_executor = partial(
            BatchExecutor,
            name,
            config=config,
            delivery=self._delivery,
            recorder=self._recorder,
            costs=self._costs,
            memory=memory,
            trace=trace,
            watch=watch,
            check=None if planned is None else planned.check,
        )
        self._lineup = Lineup(
            name, loaded, planned, make_executor, retry_s=config.retry_s, memory=memory, queue=self._queue
        )
        end_at_exit(self._queue, self._lineup)
        check_room = partial(self._queue.refuse_if_full, estimate_s=self._lineup.estimate_s)
        self._requests = RequestMaker(loaded.task, loaded.signature, check_room=check_room, watch=watch)
        lineup = self._lineup
        self._lateness = Lateness(self._queue, lineup.estimate_s, lambda: lineup.current.lanes)
        self._lock = Lock()
        self._threads: list[Thread] = []
        self._deliveries = DeliveryThread(f"inferox-{name}-delivery")

    def ask(
        self,
        items: Sequence[Any],
        options: RequestOptions,
        arrived_s: float,
        *,
        is_patient: bool = False,
        on_done: Callable[[Future[Answer]], None] | None = None,
    ) -> Future[Answer]:
        """Accepts a request; see ``ServedModel``."""
        request = self._requests.make(items, options, arrived_s)
        if on_done is not None:
            request.future.add_done_callback(on_done)
        self._admit(request, may_compute=is_patient)
        return request.future

    async def aask(self, items: Sequence[Any], options: RequestOptions, arrived_s: float) -> Future[Answer]:
        """Accepts a coroutine's request, and encodes it together with those of others; see ``ServedModel``."""
        request = await self._requests.amake(items, options, arrived_s)
        self._admit(request)
        return request.future

    def tokenize(
        self, texts: Sequence[str], *, prompt: str | None, add_special_tokens: bool
    ) -> Future[list[list[Token]]]:
        """Splits texts into tokens on this thread; see ``ServedModel``."""
        task = _as_text_task(self._task if prompt is None else self._task.with_prompt(prompt))
        return _done(task.tokenize(texts, add_special_tokens=add_special_tokens))

    def detokenize(self, ids: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> Future[list[str]]:
        """Decodes tokens to texts on this thread; see ``ServedModel``."""
        return _done(_as_text_task(self._task).detokenize(ids, skip_special_tokens=skip_special_tokens))

    def estimate_s(self, work: Workload) -> float | None:
        """Estimates the seconds that rows take, in all lanes together; ``None`` if that is not known.

        Args:
            work: The work of the rows.
        """
        return self._lineup.estimate_s(work)

    def info(self) -> ModelInfo:
        """Describes the model."""
        metadata = self._lineup.current.shift.metadata
        return ModelInfo(
            self.name,
            self.version,
            self._task.name,
            metadata.artifact,
            metadata.device,
            metadata.embedding_space,
            self._lineup.standby,
            is_loaded=self._lineup.is_open,
            dimension=getattr(self._task, "dimension", None),
            max_length=self._task.max_length,
            prompts=dict(getattr(self._task, "prompts", {})),
            class_labels=tuple(getattr(self._task, "labels", ())),
            signature=self._signature,
            pooling=getattr(self._task, "pooling", None),
            matryoshka_dims=getattr(self._task, "matryoshka_dims", ()),
            vector_ranges=getattr(self._task, "vector_ranges", None),
            parity_class=metadata.parity_class,
        )

    def stats(self) -> ModelStats:
        """Returns the statistics of the model, current and total."""
        waiting = self._queue.count_waiting()
        return replace(
            self._recorder.stats,
            waiting_rows=waiting.rows,
            waiting_tokens=waiting.tokens,
            failovers=self._lineup.failovers,
            evictions=self._lineup.evictions,
            predicted_queue_s=self._lineup.estimate_s(waiting) if waiting.rows else 0.0,
        )

    def close(self) -> None:
        """Stops accepting requests, waits until those accepted are answered, and closes the model."""
        self._queue.close()
        self._queue.wait_until_idle()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()
        self._deliveries.close()
        try:
            self._lineup.close()
        finally:
            self._costs.keep()

    def _admit(self, request: Request, *, may_compute: bool = False) -> None:
        """Answers what need not be computed, and queues the rest.

        Args:
            request: The request.
            may_compute: Whether it may be computed on this thread if nobody else waits.

        Raises:
            InputTooLargeError: If a row can never have enough memory.
            CapacityError: If it is refused.
            ExecutionError: If a model makes it while computing, or no thread can be started.
        """
        refuse_if_computing()
        if not request.rows:
            self._delivery.answer(request, [], self._lineup.current.shift)
            return
        self._identify(request)
        if not request.waiting:
            return
        self._lineup.current.refuse_hopeless(request)
        # A caller with a deadline must be able to stop waiting.
        if may_compute and request.options.deadline_s is None and self._compute_alone(request):
            return
        self._lateness.refuse(request)
        self._start_lanes()
        self._queue.add(request, estimate_s=self._lineup.estimate_s)

    def _compute_alone(self, request: Request) -> bool:
        """Computes a request on this thread, if nobody else waits. Returns whether it did."""
        try:
            if (parts := self._queue.take_alone(request, self._lineup.budget())) is not None:
                self._compute_parts(parts)
        except BaseException:
            self._queue.end_alone(request)  # an interrupt may come between any two steps
            raise
        return parts is not None

    def _identify(self, request: Request) -> None:
        """Computes the keys of rows if that is safe, so that equal ones are recognised, and answers cached ones."""
        shift = self._lineup.current.shift
        if shift.metadata.batch_invariant:
            request.keys = request.encoding.digest(request.rows, self._input_names)
            if request.keys is not None and self._cache.is_on:
                self._delivery.deliver_kept(request, shift)

    def _start_lanes(self) -> None:
        if len(self._threads) >= self._lineup.current.lanes:
            return
        self._queue.refuse_if_closed()  # starting a thread while the interpreter ends may take forever
        with self._lock:
            while len(self._threads) < self._lineup.current.lanes:
                thread = Thread(target=self._run_lane, name=f"inferox-{self.name}-{len(self._threads)}", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    if self._threads:
                        return  # the existing threads compute everything
                    raise ExecutionError(f"no thread can be started for {self.name!r}: {error}") from error
                self._threads.append(thread)

    def _run_lane(self) -> None:
        """Computes batches until the queue is closed. No error may end it, since callers would wait forever."""
        while True:
            try:
                parts = self._queue.take(self._lineup.budget)
            except Exception as error:
                _logger.exception("%s: choosing a batch failed", self.name)
                self._queue.fail_all(partial(to_failure, f"choosing a batch for {self.name!r}", error))
                continue
            if parts is None:
                return
            try:
                self._compute_parts(parts, delivers_beside=True)
            except BaseException:
                _logger.exception("%s: computing a batch was interrupted", self.name)
            del parts  # otherwise its requests, arrays and answers would live until the next batch

    def _compute_parts(self, parts: Sequence[Part], *, delivers_beside: bool = False) -> None:
        """Computes a batch, and delivers its answers: beside the next batch if that is allowed, and there is one."""
        now_s, is_handed_over = time.monotonic(), False
        batches: list[Sequence[Row]] = [[(part.request, row) for part in parts for row in part.rows]]

        def hand_over(deliver: Callable[[], Sequence[Row]]) -> bool:
            nonlocal is_handed_over
            is_wanted = delivers_beside and self._queue.count_waiting().rows > 0
            is_handed_over = is_wanted and self._deliveries.give(partial(self._deliver, parts, deliver))
            return is_handed_over

        try:
            with self._failing(parts):
                for part in parts:
                    self._recorder.note_wait(len(part.rows), now_s - part.request.arrived_s)
                    if part.request.begun_s is None:
                        part.request.begun_s = now_s
                with self._lateness.computing(parts):
                    self._compute_rows(batches, hand_over)
        finally:
            if is_handed_over:
                self._queue.release_lane()
            else:
                self._queue.end_batch(parts, [row for batch in batches for row in batch])

    def _deliver(self, parts: Sequence[Part], deliver: Callable[[], Sequence[Row]]) -> None:
        """Delivers the answers of a batch whose lane computes the next one."""
        again: Sequence[Row] = ()
        try:
            with self._failing(parts):
                again = deliver()
        finally:
            self._queue.end_batch(parts, again, has_lane=False)

    @contextmanager
    def _failing(self, parts: Sequence[Part]) -> Iterator[None]:
        """Gives the callers of a batch the error that ends a block."""
        try:
            yield
        except InferoxError as error:
            for part in parts:
                part.request.fail(error.at_item(None))
        except BaseException as error:
            for part in parts:
                part.request.fail(to_failure(f"computing {self.name!r}", error))
            if not isinstance(error, Exception):
                raise
            _logger.exception("%s: computing a batch failed", self.name)

    def _compute_rows(self, batches: list[Sequence[Row]], hand_over: HandOver) -> None:
        """Computes batches, and recomputes rows at once if need be; after an error, those not computed are left."""
        while batches:
            with self._lineup.use() as executor:
                batch, *left = executor.fit(batches)
                with self._turns(executor.shift.metadata.device).of(self):
                    again = executor.compute(batch) if left else executor.compute(batch, hand_over)
                batches[:] = [*left, *executor.divide(again)]
            if executor.suspicion.is_confirmed:
                self._lineup.replace(executor)


def _as_text_task(task: Task) -> TextTask:
    if not isinstance(task, TextTask):
        raise RequestError(f"the task {task.name} takes no texts, so it has no tokens")
    return task


def _done(value: Value) -> Future[Value]:
    future: Future[Value] = Future()
    future.set_result(value)
    return future
