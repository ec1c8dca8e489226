"""TEI's ``/predict``: scores for the labels of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from msgspec import Struct, field, json

from inferox.engine import Answer, ModelInfo
from inferox.server.call_options import CallOptions
from inferox.server.field_error import FieldError
from inferox.server.http_response import HttpResponse
from inferox.server.input_texts import check_count
from inferox.server.json_body import JsonBody
from inferox.server.service import Service
from inferox.server.tei.response import Stopwatch
from inferox.server.tei.truncation import TruncationDirection, call_options
from inferox.tasks.labels import LabelScore

_PAIR = 2

_ONLY_LABEL = "LABEL_0"
"""transformers' name for the label of a model that has only one."""


class PredictParameters(Struct):
    """Parameters that Hugging Face's client sends besides texts."""

    top_k: int | None = None
    function_to_apply: Literal["none"] | None = None
    candidate_labels: Any = None


class PredictRequest(Struct):
    """The body of a request."""

    inputs: str | list[str | list[str]]
    model: str | None = None
    truncate: bool | None = None
    truncation_direction: TruncationDirection | None = None
    raw_scores: bool | None = None
    parameters: PredictParameters | None = field(default_factory=PredictParameters)


class PredictionRoute:
    """Classifies texts and pairs of texts.

    Args:
        service: Computes the scores.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._body = JsonBody(PredictRequest)

    async def answer(self, body: bytes) -> HttpResponse:
        """Answers a request.

        Args:
            body: The body of the request.

        Raises:
            RequestError: If the request is invalid.
        """
        watch = Stopwatch()
        asked = self._body.read(body)
        items = _read_items(asked.inputs)
        parameters = asked.parameters or PredictParameters()
        if parameters.top_k is not None and parameters.top_k < 1:
            raise FieldError("parameters.top_k", f"top_k must be a positive integer, but is {parameters.top_k}")
        if parameters.candidate_labels is not None:
            raise FieldError(
                "parameters.candidate_labels",
                "candidate_labels are for zero-shot classification, which is not supported",
                hint="leave them out for the labels of the model itself",
            )
        info = self._service.choose(("classify", "rerank"), asked.model)
        options = call_options(
            asked,
            unscaled=bool(asked.raw_scores) or parameters.function_to_apply == "none",
        )
        answer = await self._label(info, items, options)
        labelled = [labels[: parameters.top_k] for labels in answer.results]
        is_batch = isinstance(asked.inputs, list) and not isinstance(asked.inputs[0], str)
        texts = [text for item in items for text in ([item] if isinstance(item, str) else item)]
        return watch.respond(json.encode(labelled if is_batch else labelled[0]), answer, texts)

    async def _label(self, info: ModelInfo, items: Sequence[Any], options: CallOptions) -> Answer:
        if info.task == "classify":
            return await self._service.classify(info.name, items, options)
        if any(isinstance(item, str) for item in items):
            raise FieldError("inputs", f"{info.name!r} scores pairs of texts", hint="send [query, text]")
        answer = await self._service.score(info.name, items, options, raw=options.unscaled)
        return replace(answer, results=[(LabelScore(_ONLY_LABEL, score),) for score in answer.results])


def _read_items(inputs: str | list[str | list[str]]) -> list[str | tuple[str, str]]:
    """Reads items: a text is one item, a list of one or two texts one item, and a list of lists an item each."""
    if isinstance(inputs, str):
        return [inputs]
    check_count("inputs", inputs)
    lists = [item for item in inputs if isinstance(item, list)]
    if not lists:
        return [_read_item([text for text in inputs if isinstance(text, str)], "inputs")]
    if len(lists) < len(inputs):
        raise FieldError("inputs", "inputs mixes texts and lists", hint="send [[text], [text, other]]")
    return [_read_item(item, f"inputs[{index}]") for index, item in enumerate(lists)]


def _read_item(texts: list[str], place: str) -> str | tuple[str, str]:
    if len(texts) == 1:
        return texts[0]
    if len(texts) == _PAIR:
        return texts[0], texts[1]
    raise FieldError(
        place,
        f"{place} must be one text or a pair, but has {len(texts)}",
        hint="several texts are [[text], [text], …]",
    )
