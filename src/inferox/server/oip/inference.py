"""Inference requests of the protocol, over HTTP or gRPC."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from inferox.core import ModelNotFoundError
from inferox.engine import Answer, ModelInfo
from inferox.server.oip.exposed_tasks import expose
from inferox.server.oip.exposure import Exposure
from inferox.server.oip.infer_request import InferRequest, refuse_unknown_outputs
from inferox.server.oip.statistics import InferCounts, describe_statistics
from inferox.server.oip.wire_tensor import WireTensor
from inferox.server.service import Service


class Inference:
    """Computes inference requests.

    Args:
        service: Computes the answers, whatever the protocol.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._exposures: dict[str, tuple[ModelInfo, Exposure]] = {}
        self._counts: dict[str, InferCounts] = defaultdict(InferCounts)

    def find(self, name: str) -> Exposure:
        """Returns the exposure of a model.

        Args:
            name: The name in the request.

        Raises:
            RequestError: If there is none of that name, or the protocol cannot represent its task.
            OverloadedError: If it may still be loading.
        """
        info = self._service.find(name)
        known = self._exposures.get(name)
        if known is None or known[0] is not info:
            known = self._exposures[name] = (info, expose(info))
        return known[1]

    def find_version(self, name: str, version: str | None) -> ModelInfo:
        """Returns a model, checking the version that a request may name.

        Args:
            name: The name in the request.
            version: The version, or a label; ``None`` for the version loaded last.

        Raises:
            ModelNotFoundError: If there is no such model.
            OverloadedError: If it may still be loading.
        """
        info = self._service.find(name)
        if version is not None and version not in {info.version, *info.labels}:
            raise ModelNotFoundError(f"{name!r} has no version {version[:100]!r}", hint=f"it has {info.version}")
        return info

    async def compute(self, name: str, request: InferRequest) -> tuple[Answer, Sequence[tuple[WireTensor, bool]]]:
        """Computes a request.

        Args:
            name: The model.
            request: The request.

        Returns:
            The answer; and the requested outputs, each with whether it is wanted as binary data.

        Raises:
            InferoxError: See ``Service.compute``.
        """
        exposure, started_ns = self.find(name), time.perf_counter_ns()
        try:
            answered = await self._compute(name, exposure, request)
        except Exception:
            self._counts[name].note(time.perf_counter_ns() - started_ns, is_answered=False)
            raise
        self._counts[name].note(time.perf_counter_ns() - started_ns, is_answered=True)
        return answered

    async def describe_statistics(self, name: str | None = None, version: str | None = None) -> dict[str, Any]:
        """Returns the statistics of a model, or of all.

        Args:
            name: The model; ``None`` for all.
            version: Its version, or a label; ``None`` for the version loaded last.

        Raises:
            ModelNotFoundError: If there is no such model.
        """
        if name is None:
            found = await self._service.stats_of_all()
        else:
            info = self.find_version(name, version)
            found = [(info, await self._service.stats(info.name))]
        return {"model_stats": [describe_statistics(info, self._counts[info.name], stats) for info, stats in found]}

    async def _compute(
        self, name: str, exposure: Exposure, request: InferRequest
    ) -> tuple[Answer, Sequence[tuple[WireTensor, bool]]]:
        items = exposure.read(request.inputs)
        if request.outputs is not None:
            # Refuse before anything is computed in vain.
            refuse_unknown_outputs(request.outputs, {item.name: item for item in exposure.outputs})
        answer = await self._service.compute(name, items, request.options)
        return answer, request.choose(exposure.write(answer))
