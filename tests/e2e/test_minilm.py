"""The promise of the README: a real model, packed and run at the command line, computes the same as elsewhere."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

import inferox as api
from tests.cli.conftest import Run, run
from tests.conftest import Command

__all__ = ["run"]

WORDS = [
    *("river", "model", "quantum", "Monday", "naïve", "café", "can't", "state-of-the-art", "unbelievable", "東京"),
    *("привет", "مرحبا", "नमस्ते", "한국어", "🙂", "e=mc²", "42", "3.14", "antidisestablishmentarianism", "x", "(sic)"),
    *("however,", "why?", "ﬁne\u200bspace"),
]


def varied_texts() -> list[str]:
    """80 texts of 0 to 400 words, in many scripts, in no order of length, most of them short as real ones are."""
    draw = random.Random(7)  # noqa: S311 - varied, not secret
    lengths = [0, 1, 2, 400, 399, *(int(400 ** draw.random()) for _ in range(75))]
    draw.shuffle(lengths)
    return [" ".join(draw.choices(WORDS, k=length)) for length in lengths]


def records(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="module")
def expected(minilm_directory: Path) -> Any:
    model = SentenceTransformer(str(minilm_directory), device="cpu")
    return model.encode(varied_texts(), batch_size=16)


def test_varied_texts_equal_sentence_transformers(inferox: Command, minilm_package: Path, expected: Any) -> None:
    lines = "\n".join(json.dumps(text) for text in varied_texts()).encode()
    done = inferox("run", minilm_package, "--json", "--jsonl", "-", stdin=lines)
    assert done.returncode == 0, done.stderr
    found = records(done.stdout)
    assert [record["text"] for record in found] == varied_texts()
    assert np.abs(np.array([record["embedding"] for record in found]) - expected).max() <= 1e-5


def test_python_gives_the_same(minilm_package: Path, expected: Any) -> None:
    with api.load(minilm_package) as model:
        vectors = model.embed(varied_texts()[:30])
        alone = model.embed(varied_texts()[:3])
    assert vectors.dtype == np.float32
    assert vectors.shape == (30, 384)
    np.testing.assert_allclose(vectors, expected[:30], atol=1e-5)
    np.testing.assert_allclose(alone, vectors[:3], atol=1e-6)


def test_the_package_is_little_more_than_its_weights(minilm_package: Path, minilm_directory: Path) -> None:
    weights = (minilm_directory / "model.safetensors").stat().st_size
    assert minilm_package.stat().st_size <= 1.035 * weights  # with the artifacts of four runtimes


def test_inspect_says_what_it_is(run: Run, minilm_package: Path) -> None:
    described = json.loads(run("inspect", minilm_package, "--json").out)
    assert described["trust_tier"] == "data"
    assert described["model_info"]["task"] == "embed"
    assert described["model_info"]["task_options"]["max_length"] == 256
    assert described["metadata"]["license"] == "apache-2.0"
    assert [item["class"] for item in described["parity"]["artifacts"]] == ["exact"] * 7  # candle has no packed layout
    table = run("inspect", minilm_package, "--table").out
    for text in ("minilm", "last_hidden_state", "weights/model.safetensors", "torch/safetensors/fp32/padded", "exact"):
        assert text in table


def test_a_table_for_people_and_json_for_pipes(run: Run, inferox: Command, minilm_package: Path) -> None:
    texts = ("A man is eating food.", "Someone is having a meal.")
    table = run("run", minilm_package, "--table", *texts).out
    assert "Cosine similarity" in table
    assert "0.69" in table
    assert [record["index"] for record in records(inferox("run", minilm_package, *texts).stdout)] == [0, 1]


@pytest.mark.parametrize("suffix", [".jsonl", ".npz", ".safetensors"])
def test_an_output_file(run: Run, minilm_package: Path, tmp_path: Path, suffix: str, expected: Any) -> None:
    texts = varied_texts()[:5]
    source = tmp_path / "texts.txt"
    source.write_text("\n".join(texts) + "\n", encoding="utf-8")
    target = tmp_path / f"vectors{suffix}"
    done = run("run", minilm_package, "--input", source, "--output", target)
    assert done.code == 0, done.err
    if suffix == ".jsonl":
        found = np.array([record["embedding"] for record in records(target.read_bytes())])
    elif suffix == ".npz":
        found = np.load(target)["embeddings"]
    else:
        from safetensors.numpy import load_file

        found = load_file(target)["embeddings"]
    np.testing.assert_allclose(found, expected[:5], atol=1e-5)
    assert list(tmp_path.iterdir()) == [source, target] or {*tmp_path.iterdir()} == {source, target}


def test_an_output_file_that_exists_is_kept(run: Run, minilm_package: Path, tmp_path: Path) -> None:
    target = tmp_path / "vectors.jsonl"
    target.write_text("mine")
    done = run("run", minilm_package, "x", "--output", target)
    assert done.code == 2
    assert "--force" in done.err
    assert target.read_text() == "mine"
    assert run("run", minilm_package, "x", "--output", target, "--force").code == 0
    assert records(target.read_bytes())[0]["text"] == "x"
