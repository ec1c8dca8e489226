"""Sends a server what its own description allows, and what it does not, and checks the answers against the description.

It runs in an environment of its own, and reads its options from standard input: the number of cases, their seed, and
the models and artifacts that are served.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.core.failures import Failure, FailureGroup

SERVER_ERROR = 500
NOT_READY = 503
BACKEND = 424
"""The status of text-embeddings-inference for a model that fails."""

ANSWER_S = 30.0
"""The time after which a server that has not answered counts as hung."""

ARTIFACT = "inferox-artifact"

POSTS_PER_GET = 20
"""The number of cases of a route that computes for each case of one that only informs."""

TENSORS: Mapping[str, Sequence[str]] = {
    "classify": ("text", "text_pair"),
    "rerank": ("query", "text"),
    "token-classify": ("text",),
    "embed": ("text",),
}
"""Valid inputs of each model over the Open Inference Protocol."""

PLAIN: Mapping[str, Callable[[list[str]], dict[str, Any]]] = {
    "/embeddings": lambda texts: {"model": "embed", "input": texts},
    "/v1/embed": lambda texts: {"model": "embed", "texts": texts},
    "/v2/embed": lambda texts: {"model": "embed", "texts": texts, "embedding_types": ["float", "base64", "binary"]},
    "/rerank": lambda texts: {"model": "rerank", "query": texts[0], "documents": texts},
    "/score": lambda texts: {"model": "rerank", "text_1": texts[0], "text_2": texts},
    "/embed": lambda texts: {"model": "embed", "inputs": texts},
    "/embed_all": lambda texts: {"model": "embed", "inputs": texts},
    "/predict": lambda texts: {"model": "classify", "inputs": [[text] for text in texts]},
    "/vertex": lambda texts: {"instances": [{"model": "embed", "inputs": texts}]},
    "/decode": lambda texts: {"model": "embed", "ids": [len(text) for text in texts]},
}
"""Valid requests to each route, by the end of its path: most generated ones are refused."""


class Run:
    """Cases, and the errors in their answers.

    Args:
        url: The address of the server.
        models: The models that it serves.
        artifact: An artifact that it offers for each; ``None`` if it offers none.
    """

    def __init__(self, url: str, models: Sequence[str], artifact: str | None) -> None:
        self._schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        self._models, self._artifact = models, artifact
        self._session = requests.Session()
        load_all_checks()
        checks = schemathesis.checks.CHECKS
        self._checks = checks.get_by_names(
            ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
        )
        self.statuses: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.failures: dict[str, str] = {}

    def try_all(self, cases: int, number: int) -> None:
        """Tries every route, with bodies that match the description and bodies that do not."""
        operations = [found.ok() for found in self._schema.get_all_operations()]
        weights = [POSTS_PER_GET if operation.method == "post" else 1 for operation in operations]
        for operation, weight in zip(operations, weights, strict=True):
            count = max(1, round(cases * weight / sum(weights)))
            if operation.method != "post":
                self._try(operation, GenerationMode.POSITIVE, count, number)
                continue
            self._try(operation, GenerationMode.POSITIVE, count - count // 4, number)
            if count // 4:
                self._try(operation, GenerationMode.NEGATIVE, count // 4, number)

    def _try(self, operation: Any, mode: GenerationMode, count: int, number: int) -> None:
        @seed(number)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(
            operation.as_strategy(generation_mode=mode),
            st.sampled_from([*self._models, *self._models, None]),
            st.lists(st.text(max_size=20), min_size=1, max_size=3) | st.none(),
        )
        def check(case: Any, model: str | None, texts: list[str] | None) -> None:
            self._aim(case, model, texts)
            self._check(case)

        check()

    def _aim(self, case: Any, model: str | None, texts: list[str] | None) -> None:
        """Names a model that is served, and makes some requests for texts plain: see ``PLAIN``."""
        if model is None:
            return
        if case.headers.pop(ARTIFACT, None) is not None and self._artifact is not None:
            case.headers[ARTIFACT] = self._artifact
        for name, value in (("id", model), ("name", model), ("version", "1")):
            if name in case.path_parameters:
                case.path_parameters[name] = value
        plain = next((make for end, make in PLAIN.items() if case.path.endswith(end)), None)
        if case.path.endswith("/infer"):
            if texts is not None:
                tensor = {"datatype": "BYTES", "shape": [len(texts)], "data": texts}
                case.body = {"inputs": [{"name": name, **tensor} for name in TENSORS[model]]}
        elif texts is not None and plain is not None:
            case.body = plain(texts)
        elif isinstance(case.body, dict) and not case.path.startswith("/v2/repository"):
            case.body["model"] = model

    def _check(self, case: Any) -> None:
        place = f"{case.method.upper()} {case.path}"
        try:
            response = case.call(session=self._session, timeout=ANSWER_S)
        except requests.RequestException as error:
            self._note(place, "no answer", error, case)
            return
        status = response.status_code
        self.statuses[str(status)] += 1
        self.answered[place] += status == requests.codes.ok
        is_designed = status == NOT_READY and "health" in case.path
        if status == BACKEND or (status >= SERVER_ERROR and not is_designed):
            self._note(place, f"status {status}", response.text, case)
        try:
            case.validate_response(response, checks=self._checks)
        except (Failure, FailureGroup) as error:
            told = error.exceptions if isinstance(error, FailureGroup) else [error]
            for each in told:
                self._note(place, type(each).__name__, each, case)

    def _note(self, place: str, kind: str, what: object, case: Any) -> None:
        self.failures.setdefault(f"{place}: {kind}", f"{str(what)[:1500]}\n{case.as_curl_command()[:1500]}")


def main(url: str) -> None:
    """Follows the options on standard input, and writes the errors."""
    asked = json.load(sys.stdin)
    run = Run(url, asked["models"], asked["artifact"])
    run.try_all(asked["cases"], asked["seed"])
    told = {"statuses": run.statuses, "answered": run.answered, "failures": run.failures}
    print(json.dumps(told))  # noqa: T201 - a program


if __name__ == "__main__":
    main(*sys.argv[1:])
