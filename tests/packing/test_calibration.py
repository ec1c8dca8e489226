"""The inputs on which a quantiser calibrates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferox.packing.calibration import choose_texts, make_calibration, vary_examples
from inferox.packing.reference import compute_samples
from inferox.sources import open_source
from inferox.tasks import choose_task, open_task
from tests.packing.modules import make_cnn, make_tied
from tests.packing.test_kinds import save_text_model
from tests.sources.checkpoints import make_model, save_model

Call = Mapping[str, npt.NDArray[Any]]


@given(count=st.integers(1, 3000))
@example(count=512)
@example(count=513)
@example(count=1023)
def test_texts_are_taken_from_the_whole_of_a_file(count: int) -> None:
    texts = [str(number) for number in range(count)]
    chosen = [int(text) for text in choose_texts(texts)]
    assert len(chosen) == min(count, 512)
    steps = {later - earlier for earlier, later in pairwise([*chosen, count])}
    assert chosen[0] == 0
    assert steps <= {count // len(chosen), -(-count // len(chosen))}


def rows(calls: Iterable[Call]) -> set[bytes]:
    """Returns the rows of the inputs, without their padding."""
    found = set()
    for call in calls:
        mask = call.get("attention_mask")
        for name in {"input_ids", "pixel_values", "image", "tokens"} & call.keys():
            for index, row in enumerate(call[name]):
                found.add(np.ascontiguousarray(row if mask is None else row[mask[index] != 0]).tobytes())
    return found


@pytest.mark.parametrize(
    ("kind", "task", "fewest"),
    [
        *((make_cnn, "raw", 16), (make_tied, "raw", 16)),
        *(("Model", "embed", 150), ("ForSequenceClassification", "rerank", 150), ("Model", "raw", 25)),
        ("vit", "image-classify", 16),
    ],
)
def test_what_parity_is_measured_on_is_held_back(
    tmp_path: Path, minilm_directory: Path, kind: str | Callable[[], Any], task: str, fewest: int
) -> None:
    source: Any = kind
    if kind == "vit":
        source = save_model(make_model("vit", "ForImageClassification", num_labels=4), tmp_path / "source")
        (source / "preprocessor_config.json").write_text(
            '{"image_processor_type": "ViTImageProcessor", "do_resize": true, "size": {"height": 16, "width": 16}}'
        )
    elif isinstance(kind, str):
        source = tmp_path / "source"
        save_text_model(source, minilm_directory, "bert", kind, **({"num_labels": 1} if task == "rerank" else {}))
    model = open_source(source, task=task)
    choice = choose_task(model.facts.directory, model.facts.config, model.signature, task=task)
    opened = open_task(choice.name, choice.options, model.facts.directory or tmp_path, model.signature)
    calls = make_calibration(model, opened, None)
    watched, measured = rows(calls), rows(batch.inputs for batch in compute_samples(model, opened).batches)
    assert len(watched) >= fewest
    assert measured
    assert not watched & measured
    assert watched == rows(make_calibration(model, opened, None))


def test_examples_are_varied_within_their_range_and_masks_are_not() -> None:
    draw = np.random.default_rng(3)
    examples: dict[str, npt.NDArray[Any]] = {
        "image": draw.standard_normal((2, 3, 4)).astype(np.float32),
        "tokens": draw.integers(5, 90, (2, 7)),
        "mask": np.array([[1, 1, 0], [1, 0, 0]]),
        "bias": np.array([[0, -np.inf], [0, 0]], np.float32),
        "lengths": np.array([2, 5, 3]),
        "flags": np.array([True, False]),
    }
    calls = vary_examples(examples)
    assert len(calls) == 8
    for call in calls:
        for name, array in call.items():
            own = examples[name]
            assert (array.dtype, array.shape) == (own.dtype, own.shape)
            assert own.min() <= array.min()
            assert array.max() <= own.max()
            assert np.array_equal(array, own) == (name not in {"image", "tokens"})
        assert 0.02 < np.abs(call["image"] - examples["image"]).mean() < 0.2
    assert len({call["image"].tobytes() for call in calls}) == 8
    assert all(
        np.array_equal(one["tokens"], other["tokens"])
        for one, other in zip(calls, vary_examples(examples), strict=True)
    )
