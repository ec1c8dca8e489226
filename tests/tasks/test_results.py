"""Results as JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from inferox.tasks import LabelScore, RankedDocument, Span, to_json


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (np.array([1.5, 2.5], dtype=np.float32), [1.5, 2.5]),
        (np.float32(0.5), 0.5),
        (0.25, 0.25),
        ((LabelScore("a", 0.5), LabelScore("b", 0.25)), [{"label": "a", "score": 0.5}, {"label": "b", "score": 0.25}]),
        (Span("PER", 0.5, 0, 3, "Ada"), {"label": "PER", "score": 0.5, "start": 0, "end": 3, "text": "Ada"}),
        ([RankedDocument(2, 0.5)], [{"index": 2, "score": 0.5, "truncated": False}]),
        ({"x": np.ones((1, 2), dtype=np.int64)}, {"x": [[1, 1]]}),
    ],
)
def test_every_kind_of_result_has_a_json_form(result: Any, expected: Any) -> None:
    assert to_json(result) == expected
    assert json.loads(json.dumps(to_json(result))) == expected
