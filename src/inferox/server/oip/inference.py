"""Computing requests of the protocol, whichever way they come."""

from __future__ import annotations

from collections.abc import Sequence

from inferox.engine import Answer, ModelInfo
from inferox.server.oip.exposed_tasks import expose
from inferox.server.oip.exposure import Exposure
from inferox.server.oip.infer_request import InferRequest, refuse_unknown_outputs
from inferox.server.oip.wire_tensor import WireTensor
from inferox.server.service import Service


class Inference:
    """Computes requests.

    Args:
        service: What answers them, whatever the protocol.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._exposures: dict[str, tuple[ModelInfo, Exposure]] = {}

    def find(self, name: str) -> Exposure:
        """How a model looks to the protocol.

        Args:
            name: What requests call it.

        Raises:
            RequestError: If there is none of that name, or the protocol has no form for its task.
            OverloadedError: If it may still come.
        """
        info = self._service.find(name)
        known = self._exposures.get(name)
        if known is None or known[0] is not info:
            known = self._exposures[name] = (info, expose(info))
        return known[1]

    async def compute(self, name: str, request: InferRequest) -> tuple[Answer, Sequence[tuple[WireTensor, bool]]]:
        """Computes a request.

        Args:
            name: The model.
            request: The request.

        Returns:
            The answer; and the outputs that are asked for, each with whether it is wanted as binary data.

        Raises:
            InferoxError: See ``Service.compute``.
        """
        exposure = self.find(name)
        items = exposure.read(request.inputs)
        if request.outputs is not None:
            # Before anything is computed for nothing.
            refuse_unknown_outputs(request.outputs, {item.name: item for item in exposure.outputs})
        answer = await self._service.compute(name, items, request.options)
        return answer, request.choose(exposure.write(answer))
