"""The engine with the real model: many callers at once, on every runtime."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest

import inferox
from inferox.backends.openvino.model import OpenVinoModel
from inferox.tasks.text_samples import sample_texts

_SAME = 2e-6
"""The largest distance between the vectors of a text in different batches: rounding, as parity measures it for
``exact``."""


_BACKENDS = ["torch", "onnxruntime", "openvino", "candle"]


@pytest.mark.parametrize("backend", _BACKENDS)
def test_64_callers_get_the_vectors_that_they_would_get_alone(minilm_package: Path, backend: str) -> None:
    texts = [text for batch in sample_texts(256, []) for text in batch][:40]
    with inferox.load(minilm_package, backend, precision="fp32") as model:
        alone = np.concatenate([model.embed([text], truncate="cut") for text in texts])
    with inferox.Engine() as engine:
        info = engine.load(minilm_package, name="minilm", backend=backend, precision="fp32")
        assert (info.name, info.task, info.artifact.split("/")[0]) == ("minilm", "embed", backend)

        async def ask_all() -> list[np.ndarray]:
            left, found = iter(enumerate(texts)), [np.empty(0)] * len(texts)

            async def ask() -> None:
                for index, text in left:
                    answer = await engine.ainfer("minilm", [text], truncate="cut")
                    assert answer.embedding_space == info.embedding_space
                    found[index] = answer.results[0]

            await asyncio.gather(*(ask() for _ in range(64)))
            return found

        together = np.stack(asyncio.run(ask_all()))
        assert engine.stats("minilm").batches < len(texts)
        np.testing.assert_allclose(together, alone, rtol=0, atol=_SAME)
        np.testing.assert_allclose(engine.infer("minilm", texts, truncate="cut").results, alone, rtol=0, atol=_SAME)


def test_another_runtime_takes_over_where_one_breaks(minilm_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [text for batch in sample_texts(256, []) for text in batch][:20]

    def fail(*_: object) -> None:
        raise RuntimeError("the runtime is broken")

    with inferox.Engine() as engine:
        engine.load(minilm_package, name="minilm")
        before = engine.infer("minilm", texts, truncate="cut")
        monkeypatch.setattr(OpenVinoModel, "_compute", fail)
        after = engine.infer("minilm", texts, truncate="cut")
        assert (before.artifact.split("/")[0], after.artifact.split("/")[0]) == ("openvino", "onnxruntime")
        assert after.embedding_space == before.embedding_space
        np.testing.assert_allclose(after.results, before.results, rtol=0, atol=_SAME)
        assert engine.stats("minilm").failovers == 1


def test_a_fast_start_is_followed_by_the_best_with_the_same_vectors(minilm_package: Path) -> None:
    texts = [text for batch in sample_texts(256, []) for text in batch][:20]
    with inferox.Engine() as engine:
        info = engine.load(minilm_package, name="minilm", start="fast")
        first = engine.infer("minilm", texts, truncate="cut")
        deadline_s = time.monotonic() + 60
        while engine.models()[0].artifact == info.artifact:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        second = engine.infer("minilm", texts, truncate="cut")
    assert (first.artifact.split("/")[0], second.artifact.split("/")[0]) == ("onnxruntime", "openvino")
    np.testing.assert_allclose(second.results, first.results, rtol=0, atol=_SAME)
