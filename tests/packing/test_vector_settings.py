"""The lengths to which vectors may be cut, and the ranges of their numbers, as they enter a package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inferox
from inferox.core import ConfigError, ManifestError
from inferox.tasks import EmbedTask, choose_task
from inferox.tasks.vector_settings import read_matryoshka_dims, read_vector_ranges
from tests.packing.test_kinds import save_text_model


def pack(source: Path, target: Path, **options: Any) -> dict[str, Any]:
    """Packs for one runtime, and returns the options of the task."""
    inferox.pack(source, target, backends=["onnxruntime"], precisions=["fp32"], **options)
    found: dict[str, Any] = json.loads((target / "model_info.json").read_text())["task_options"]
    return found


@pytest.fixture(scope="module")
def source(minilm_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("vectors") / "source"
    save_text_model(directory, minilm_directory, "bert", "Model")
    return directory


def test_settings_that_are_asked_for(source: Path, tmp_path: Path) -> None:
    texts = ["one text", "another one, which is longer", "a third"]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    options = pack(
        source, tmp_path / "made", matryoshka_dims=[8, 4, 8], vector_ranges=True, calibration=tmp_path / "texts.txt"
    )
    assert options["matryoshka_dims"] == [4, 8]
    with inferox.load(tmp_path / "made") as model:
        vectors = model.embed(texts)
        assert isinstance(model.task, EmbedTask)
        assert model.task.matryoshka_dims == (4, 8)
        space = model.model.metadata.embedding_space
    np.testing.assert_allclose(options["vector_ranges"], [vectors.min(axis=0), vectors.max(axis=0)], atol=1e-6)

    plain = pack(source, tmp_path / "plain")
    assert {"matryoshka_dims", "vector_ranges"}.isdisjoint(plain)
    with inferox.load(tmp_path / "plain") as model:
        assert model.model.metadata.embedding_space == space  # the vectors are the same


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"matryoshka_dims": []}, r"must be less than 16, the length of the vectors, but are \[\]"),
        ({"matryoshka_dims": [8, 16]}, r"but are \[8, 16\] \(give the lengths that the model was trained for\)"),
        ({"matryoshka_dims": [0]}, "matryoshka_dims must be a positive integer, but is 0"),
        ({"matryoshka_dims": [4], "task": "raw"}, "for models of the task embed, but this one's is raw"),
        ({"vector_ranges": True, "task": "raw"}, "vector_ranges is for models of the task embed"),
        ({"calibration": "texts.txt"}, "only int8 and the ranges of vectors are calibrated"),
    ],
)
def test_settings_that_cannot_be(source: Path, tmp_path: Path, options: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        pack(source, tmp_path / "made", **options)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("value", [8, "8", [8.0], [True], [0], [-4], [None], {"8": 1}])
def test_other_dims_in_a_config_are_refused(source: Path, value: Any) -> None:
    config = {**json.loads((source / "config.json").read_text()), "matryoshka_dimensions": value}
    with pytest.raises(ManifestError, match="'matryoshka_dimensions' must be a list of positive integers, but is"):
        choose_task(source, config, None)


def test_dims_in_a_config(source: Path) -> None:
    config = json.loads((source / "config.json").read_text())
    found = {
        str(value): choose_task(source, {**config, "matryoshka_dimensions": value}, None).options.get("matryoshka_dims")
        for value in (None, [], [64, 8, 8, 768])
    }
    assert found == {"None": None, "[]": None, "[64, 8, 8, 768]": [8, 64, 768]}
    assert read_matryoshka_dims(None, "x") == ()


@pytest.mark.parametrize(
    "value",
    [
        [],
        [[0.0, 0.0]],
        [[0.0, 0.0], [1.0]],
        [[0.0], [1.0]],
        [[0.0, 2.0], [1.0, 1.0]],
        [[0.0, float("nan")], [1.0, 1.0]],
        [[0.0, 0.0], [1.0, float("inf")]],
        [[0.0, "a"], [1.0, 1.0]],
        [[0.0, 10**400], [1.0, 1.0]],
        [[0.0, 0.0], [1.0, 1e300]],
        [[0.0, "0"], [1.0, 1.0]],
        [[0.0, 0.0], [1.0, True]],
        [[0.0, None], [1.0, 1.0]],
        "low",
        {"low": [0.0, 0.0]},
    ],
)
def test_other_ranges_are_refused(value: Any) -> None:
    with pytest.raises(ManifestError, match="'vector_ranges' must be 2 minima and 2 maxima, but is"):
        read_vector_ranges(value, 2)


def test_ranges() -> None:
    assert read_vector_ranges([[0, -1], [0.5, -1]], 2) == ((0.0, -1.0), (0.5, -1.0))
    assert read_vector_ranges(None, 2) is None
