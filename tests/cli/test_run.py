"""``inferox run`` on every task: its inputs, and its outputs for programs and for people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import inferox
from inferox.core import InferoxWarning, InputTooLongError
from tests.cli.conftest import Done, Run
from tests.packing.test_kinds import save_text_model

Packages = dict[str, Path]


def records(done: Done) -> list[dict[str, Any]]:
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def test_embed(run: Run, packages: Packages) -> None:
    (record,) = records(run("run", packages["embed"], "hello"))
    assert (record["index"], record["text"], len(record["embedding"])) == (0, "hello", 16)
    assert "Cosine similarity" in run("run", packages["embed"], "--table", "a", "b").out
    assert "vector (16 dimensions)" in run("run", packages["embed"], "--table", "a").out


def test_a_prompt(run: Run, packages: Packages) -> None:
    assert len(records(run("run", packages["embed"], "--prompt", "query", "a"))) == 1
    done = run("run", packages["embed"], "--prompt", "nope", "a")
    assert (done.code, "there is no prompt 'nope'" in done.err) == (4, True)
    done = run("run", packages["classify"], "--prompt", "query", "a")
    assert (done.code, "--prompt is for the task embed" in done.err) == (2, True)


def test_a_profile_says_what_takes_how_long(run: Run, packages: Packages, tmp_path: Path) -> None:
    profile = tmp_path / "trace.json"
    assert len(records(run("run", packages["embed"], "--profile", profile, "a", "b"))) == 2
    events = [event for event in json.loads(profile.read_text())["traceEvents"] if event["ph"] == "X"]
    assert [event["name"] for event in events] == ["tokenise", "lay out", "compute", "decode"]
    assert all(before["ts"] + before["dur"] <= after["ts"] + 1e-3 for before, after in pairwise(events))
    done_again = run("run", packages["embed"], "--profile", profile, "a")
    assert (done_again.code, "already exists" in done_again.err) == (2, True)
    assert len(records(run("run", packages["embed"], "--profile", profile, "--force", "a"))) == 1
    assert run("run", packages["embed"], "--profile", tmp_path / "trace.txt", "a").code == 2


def test_a_profile_of_files_of_many_rows_says_what_each_thread_does(
    run: Run, packages: Packages, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("text\na\nb\n", encoding="utf-8")
    files = ("--input", tmp_path / "rows.csv", "--column", "text", "--output", tmp_path / "rows.npy")
    assert run("run", packages["embed"], *files, "--profile", tmp_path / "trace.json").code == 0
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    threads = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    done: dict[str, list[str]] = {}
    for event in events:
        if event["ph"] == "X":
            done.setdefault(threads[event["tid"]], []).append(event["name"])
    # It reads ahead, to know whether the part ends with what it has read.
    assert done.pop("inferox-read") == ["read", "read", "tokenise"]
    assert done.pop("inferox-compute") == ["lay out", "compute", "decode"]
    assert list(done.values()) == [["write"]]


def test_classify(run: Run, packages: Packages) -> None:
    (record,) = records(run("run", packages["classify"], "hello"))
    assert sum(label["score"] for label in record["labels"]) == pytest.approx(1)
    table = run("run", packages["classify"], "--table", "hello").out
    assert record["labels"][0]["label"] in table
    assert "and 2 more" in table


def test_token_classify(run: Run, packages: Packages) -> None:
    (record,) = records(run("run", packages["token-classify"], "the quick brown fox"))
    assert all("the quick brown fox"[span["start"] : span["end"]] == span["text"] for span in record["spans"])
    assert run("run", packages["token-classify"], "--table", "the quick brown fox").code == 0


def test_rerank(run: Run, packages: Packages) -> None:
    found = records(run("run", packages["rerank"], "--query", "who?", "a fox", "the dog"))
    assert [(record["query"], record["document"]) for record in found] == [("who?", "a fox"), ("who?", "the dog")]
    lines = b'{"query": "who?", "documents": ["a fox", "the dog"]}\n{"query": "x", "document": "y"}\n'
    again = records(run("run", packages["rerank"], "--jsonl", "-", stdin=lines))
    assert [record["score"] for record in again[:2]] == pytest.approx([record["score"] for record in found])
    assert len(again) == 3
    table = run("run", packages["rerank"], "--table", "--query", "who?", "a fox", "the dog").out
    best = max(found, key=lambda record: record["score"])["document"]
    assert table.index(best) < table.index(({"a fox", "the dog"} - {best}).pop())


@pytest.mark.parametrize(
    "line", [b'{"query": 3, "document": "y"}', b'{"query": "x"}', b'{"query": "x", "documents": "y"}', b'"y"']
)
def test_rerank_refuses_what_is_not_a_pair(run: Run, packages: Packages, line: bytes) -> None:
    done = run("run", packages["rerank"], "--jsonl", "-", stdin=line)
    assert done.code == 4
    assert "line 1" in done.err


def test_image_classify(run: Run, packages: Packages, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (record,) = records(run("run", packages["image-classify"], tmp_path / "a.png"))
    assert record["image"] == str(tmp_path / "a.png")
    assert len(record["labels"]) == 4
    (tmp_path / "list.txt").write_text(f"{tmp_path / 'a.png'}\n")
    (same,) = records(run("run", packages["image-classify"], "--input", tmp_path / "list.txt"))
    assert same == record
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    done = run("run", packages["image-classify"], tmp_path / "b.png")
    assert (done.code, "b.png" in done.err) == (4, True)


def test_raw(run: Run, packages: Packages, tmp_path: Path) -> None:
    image = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "a.npz", image=image)
    save_file({"image": image}, tmp_path / "a.safetensors")
    (tmp_path / "a.json").write_text(json.dumps({"image": image.tolist()}))
    arguments = ("run", packages["raw"], "--trust-code")
    found = [records(run(*arguments, tmp_path / f"a.{suffix}"))[0] for suffix in ("npz", "safetensors", "json")]
    assert found[0] == found[1] == found[2]
    (piped,) = records(run(*arguments, "-", stdin=(tmp_path / "a.json").read_bytes()))
    assert piped == found[0]
    (given,) = records(run(*arguments, "--input", tmp_path / "a.npz"))
    assert given == found[0]
    assert run(*arguments, tmp_path / "a.npz", "--output", tmp_path / "out.safetensors").code == 0
    np.testing.assert_allclose(load_file(tmp_path / "out.safetensors")["output"], found[0]["outputs"]["output"])
    assert run(*arguments, tmp_path / "a.npz", tmp_path / "a.npz", "--output", tmp_path / "two.npz").code == 0
    assert sorted(np.load(tmp_path / "two.npz")) == ["0.output", "1.output"]
    assert "[2, 5]" in run(*arguments, "--table", tmp_path / "a.npz").out


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"picture": np.zeros((1, 3, 8, 8), np.float32)}, "missing image; unknown picture"),
        ({"image": np.zeros((1, 4, 8, 8), np.float32)}, "must have the shape [batch, 3, 8, 8]"),
        ({"image": np.zeros((1, 3, 8, 8), np.float64)}, "must have the data type f32"),
        ({"image": np.full((1, 3, 8, 8), np.nan, np.float32)}, "NaN"),
    ],
)
def test_raw_refuses_what_does_not_fit(
    run: Run, packages: Packages, tmp_path: Path, inputs: dict[str, Any], text: str
) -> None:
    np.savez(tmp_path / "a.npz", **inputs)
    done = run("run", packages["raw"], "--trust-code", tmp_path / "a.npz")
    assert done.code == 4
    assert text in done.err


def test_raw_lets_nan_through_when_asked_to(run: Run, packages: Packages, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=np.full((1, 3, 8, 8), np.nan, np.float32))
    done = run("run", packages["raw"], "--trust-code", "--allow-nan", tmp_path / "a.npz")
    assert "NaN" in done.out
    done = run("run", packages["embed"], "--allow-nan", "x")
    assert (done.code, "--allow-nan is for the task raw" in done.err) == (2, True)


def test_code_needs_trust(run: Run, packages: Packages) -> None:
    done = run("run", packages["raw"], "x.npz")
    assert (done.code, "--trust-code" in done.err) == (3, True)


def test_the_name_of_an_output_may_end_as_the_error_says(run: Run, packages: Packages, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a fox\n")
    command = ("run", packages["embed"], "--input", tmp_path / "in.txt", "--output")

    for refused in (
        run(*command, tmp_path / "z.txt"),
        run("run", packages["embed"], "x", "--output", tmp_path / "z.csv"),
    ):
        assert refused.code == 2
        suffixes = re.findall(r"(\.[a-z]+)(?=[,\n])", refused.err)
        assert suffixes == [".jsonl", ".ndjson", ".npz", ".safetensors", ".parquet", ".arrow", ".csv", ".npy"]
    for suffix in suffixes:
        done = run(*command, tmp_path / f"z{suffix}")
        assert (done.code, (tmp_path / f"z{suffix}").is_file()) == (0, True), done.err


def test_results_that_are_not_arrays(run: Run, packages: Packages, tmp_path: Path) -> None:
    done = run("run", packages["classify"], "x", "--output", tmp_path / "out.npz")
    assert (done.code, "are not arrays" in done.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_bad_text_far_down_is_found_again(run: Run, packages: Packages) -> None:
    lines = [json.dumps("x")] * 1030 + [json.dumps("x" * 10_000_001)]
    done = run("run", packages["embed"], "--jsonl", "-", stdin="\n".join(lines).encode())
    assert done.code == 4
    assert "text 1030 " in done.err


def test_an_empty_input_gives_nothing(run: Run, packages: Packages, tmp_path: Path) -> None:
    assert records(run("run", packages["embed"], "-", stdin=b"")) == []
    assert run("run", packages["embed"], "--table", "-", stdin=b"").code == 0
    assert run("run", packages["embed"], "--output", tmp_path / "a.npz", "-", stdin=b"").code == 0


def test_threads(run: Run, packages: Packages, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    numbers: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", numbers.append)
    assert run("run", packages["embed"], "--threads", "1", "--backend", "torch", "x").code == 0
    assert numbers == [1]


def test_tensor_files_that_are_damaged(run: Run, packages: Packages, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", image=np.random.default_rng(0).standard_normal((2, 3, 8, 8)))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[200:400] = bytes(200)
    (tmp_path / "a.npz").write_bytes(content)
    (tmp_path / "deep.json").write_text("[" * 100_000)
    for name in ("a.npz", "deep.json", "nul\x00.npz", "missing.npz"):
        done = run("run", packages["raw"], "--trust-code", tmp_path / name)
        assert done.code == 4, done.err


def test_a_query_is_for_rerank(run: Run, packages: Packages) -> None:
    done = run("run", packages["embed"], "--query", "x", "y")
    assert (done.code, "--query is for the task rerank" in done.err) == (2, True)


def test_what_agrees_too_little_is_not_run(
    run: Run, packages: Packages, tmp_path: Path, minilm_directory: Path
) -> None:
    save_text_model(tmp_path / "bert", minilm_directory, "bert", "Model")
    inferox.pack(tmp_path / "bert", tmp_path / "half", precisions=("bf16",))
    done = run("run", tmp_path / "half", "--quality", "exact", "x")
    assert (done.code, "but exact is required" in done.err) == (5, True)
    assert run("run", tmp_path / "half", "--quality", "quantized", "x").code == 0
    assert run("run", packages["embed"], "--quality", "exact", "x").code == 0
    assert run("run", packages["embed"], "--quality", "perfect", "x").code == 2


def test_truncation_is_counted_and_said(run: Run, packages: Packages) -> None:
    long = "word " * 900
    done = run("run", packages["embed"], "hello", long)
    lost = [record["cut_tokens"] for record in records(done)]
    assert lost[0] == 0 < lost[1]
    assert done.err.splitlines() == [
        f"inferox: 1 of 2 texts is longer than the model takes and was cut, by up to {lost[1]} tokens"
    ]
    assert run("run", packages["embed"], "--truncate", "cut", "hello", long).err == ""
    refused = run("run", packages["embed"], "--truncate", "error", "hello", long)
    assert (refused.code, "text 1 has 902 tokens, but the model takes" in refused.err) == (4, True)
    assert run("run", packages["embed"], "--truncate", "error", "hello").code == 0


@pytest.mark.parametrize("task", ["embed", "classify", "token-classify", "rerank"])
def test_truncation_in_python(task: str, packages: Packages) -> None:
    long = "word " * 900
    with inferox.load(packages[task]) as model:
        calls: dict[str, Callable[..., Any]] = {
            "embed": model.embed,
            "classify": model.classify,
            "token-classify": model.token_classify,
            "rerank": lambda texts, **options: model.rerank("word", texts, **options),
        }
        call = calls[task]
        with pytest.warns(InferoxWarning, match="was cut") as caught:
            call([long])
        assert caught[0].filename == __file__
        call([long], truncate="cut")
        with pytest.raises(InputTooLongError):
            call([long], truncate="error")
