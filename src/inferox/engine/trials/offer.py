"""Artifacts that a request may select by name, beside the serving one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import ExitStack, suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any
from weakref import ref

from inferox.core import ExecutionError, RequestError, shown
from inferox.engine.answer import Answer
from inferox.engine.items import to_items
from inferox.engine.model_info import ModelInfo
from inferox.engine.request import RequestOptions
from inferox.engine.served_model import ServedModel
from inferox.engine.stats import ModelStats
from inferox.engine.unexpected import to_failure
from inferox.tasks.token import Token

_OF_SERVING = frozenset({"missing_workers", "predicted_queue_s", "trials"})
"""The statistics that are not summed: a worker that does not report its counts reports none of any artifact."""


@dataclass(frozen=True)
class OfferedArtifact:
    """An artifact that a request may select.

    Attributes:
        target: Its name in requests, such as ``openvino:int8``.
        artifact: The name of the artifact.
        model: The model that computes it.
        is_shared: Whether another owner closes that model, because it is the serving one or has a second name.
    """

    target: str
    artifact: str
    model: ServedModel
    is_shared: bool = False


class OfferingModel(ServedModel):
    """A model whose requests may select other artifacts than the serving one. It closes all of them.

    Args:
        serving: The model for requests that select no artifact.
        offered: The artifacts that may be selected, including the serving one.
    """

    def __init__(self, serving: ServedModel, offered: Sequence[OfferedArtifact]) -> None:
        self.name, self.version = serving.name, serving.version
        self._serving = serving
        self._offered = tuple(offered)
        self._by_name: Mapping[str, OfferedArtifact] = {
            name: item for item in reversed(self._offered) for name in (item.artifact, item.target)
        }

    def check_artifact(self, artifact: str) -> None:
        """Refuses an artifact that is not offered; see ``ServedModel``."""
        if artifact not in self._by_name:
            there = ", ".join(item.target for item in self._offered)
            raise RequestError(
                f"{self.name!r} offers no artifact {shown(artifact)}",
                hint=f"it offers {there}; without an artifact, the serving one answers",
            )

    def ask(
        self, items: Sequence[Any], options: RequestOptions, arrived_s: float, *, is_patient: bool = False
    ) -> Future[Answer]:
        """Accepts a request; see ``ServedModel``."""
        if options.artifact is None:
            return self._serving.ask(items, options, arrived_s, is_patient=is_patient)
        asked = self._find(options.artifact)
        return self._follow(asked, asked.model.ask(to_items(items), options, arrived_s, is_patient=is_patient))

    async def aask(self, items: Sequence[Any], options: RequestOptions, arrived_s: float) -> Future[Answer]:
        """Accepts a coroutine's request; see ``ServedModel``."""
        if options.artifact is None:
            return await self._serving.aask(items, options, arrived_s)
        asked = self._find(options.artifact)
        return self._follow(asked, await asked.model.aask(to_items(items), options, arrived_s))

    def tokenize(
        self, texts: Sequence[str], *, prompt: str | None, add_special_tokens: bool
    ) -> Future[list[list[Token]]]:
        """Splits texts into tokens; see ``ServedModel``."""
        return self._serving.tokenize(texts, prompt=prompt, add_special_tokens=add_special_tokens)

    def detokenize(self, ids: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> Future[list[str]]:
        """Decodes tokens to texts; see ``ServedModel``."""
        return self._serving.detokenize(ids, skip_special_tokens=skip_special_tokens)

    def info(self) -> ModelInfo:
        """Describes the serving artifact and those offered; see ``ServedModel``."""
        return replace(self._serving.info(), offered={item.target: item.artifact for item in self._offered})

    def stats(self) -> ModelStats:
        """Returns the statistics of all artifacts, including those being tried; see ``ServedModel``."""
        serving = self._serving.stats()
        counted = [serving, *(item.model.stats() for item in self._offered if not item.is_shared)]
        names = [item.name for item in fields(ModelStats) if item.name not in _OF_SERVING]
        return replace(serving, **{name: sum(getattr(stats, name) for stats in counted) for name in names})

    def close(self) -> None:
        """Stops accepting requests, waits until those accepted are answered, and closes all artifacts."""
        with ExitStack() as stack:
            stack.callback(self._serving.close)
            for item in self._offered:
                if not item.is_shared:
                    stack.callback(item.model.close)

    def _find(self, artifact: str) -> OfferedArtifact:
        self.check_artifact(artifact)
        return self._by_name[artifact]

    def _follow(self, asked: OfferedArtifact, computing: Future[Answer]) -> Future[Answer]:
        def finish(answer: Answer) -> Answer:
            if answer.artifact != asked.artifact:
                raise ExecutionError(
                    f"{asked.artifact} of {self.name!r} has failed, and {answer.artifact} has taken over",
                    hint="leave the artifact out to use whichever serves",
                )
            # It is served under an internal name, which callers must not see.
            return replace(answer, model=self.name, version=self.version)

        return _map(computing, finish)


def _map(computing: Future[Answer], finish: Callable[[Answer], Answer]) -> Future[Answer]:
    """Returns a future of the converted answer. Cancelling it cancels the original one."""
    future: Future[Answer] = Future()

    def take(done: Future[Answer]) -> None:
        if done.cancelled():
            future.cancel()
            return
        error = done.exception()
        with suppress(InvalidStateError):  # its caller is gone
            if error is not None:
                future.set_exception(error)
                return
            try:
                future.set_result(finish(done.result()))
            except InvalidStateError:
                raise
            except Exception as failure:  # noqa: BLE001 - given to whoever waits for it
                future.set_exception(to_failure("reading the answer of an artifact", failure))

    computing.add_done_callback(take)
    # The one refers to the other already: a strong reference would make the two a cycle of garbage.
    future.add_done_callback(partial(_cancel, ref(computing)))
    return future


def _cancel(computing: ref[Future[Answer]], _: Future[Answer]) -> None:
    if (wanted := computing()) is not None:
        wanted.cancel()
