"""``inferox run`` on files of many rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bulk.conftest import make_texts, read_bytes, write_json
from tests.cli.conftest import Done, Run, run

__all__ = ["run"]


def test_a_run_says_how_far_it_is_and_what_it_has_written(run: Run, tiny_package: Path, tmp_path: Path) -> None:
    source = write_json(tmp_path / "in.jsonl", [*make_texts(40), None])
    command = ("run", tiny_package, "--input", source, "--output", tmp_path / "out", "--dtype", "int8")
    done = run(*command)
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert (answer["rows"], answer["failed"], answer["parts"]) == (41, 1, 1)
    assert "41 rows in" in done.err
    said = "line 41 of in.jsonl must be a JSON object or string, but is null"
    assert answer["first_error"] == said
    assert f"1 of 41 rows without an answer; the column error says why, first: {said}\n" in done.err
    schema = pq.read_schema(tmp_path / "out" / "part-000000.parquet")
    assert schema.field("embedding").type.value_type == pa.int8()
    assert "already has a complete output" in run(*command).err
    again = run(*command, "--resume")
    assert json.loads(again.out)["computed"] == 0


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"id": 1, "text": None}, "row 2 of b.jsonl: 'text' must be a text, but is null"),
        ({"id": 1, "text": "fox " * 600}, "row 2 of b.jsonl: the text "),
        ({"id": "one", "text": "a fox"}, "row 2 of b.jsonl: 'id' is 'one', but the column has the type int64"),
        ({"id": 1, "text": "\ud800"}, "line 2 of b.jsonl has a lone surrogate"),
    ],
)
def test_the_first_error_names_its_row(run: Run, tiny_package: Path, tmp_path: Path, row: object, error: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_json(folder / "a.jsonl", [{"id": 1, "text": "a fox"}] * 3)
    write_json(folder / "b.jsonl", [{"id": 1, "text": "a fox"}, row, {"id": 1, "text": None}])
    out = tmp_path / "out"
    done = run("run", tiny_package, "--input", folder, "--output", out, "--truncate", "error")
    assert done.code == 0, done.err
    first = json.loads(done.out)["first_error"]
    assert first.startswith(error)
    assert f"; the column error says why, first: {first}\n" in done.err
    (_, _, _, _, said, _) = pq.read_table(out).column("error").to_pylist()
    assert first in {said, f"row 2 of b.jsonl: {said}"}


def test_a_run_whose_rows_all_fail_is_not_a_success(run: Run, tiny_package: Path, tmp_path: Path) -> None:
    source = write_json(tmp_path / "in.jsonl", [{"text": 1}, {"text": 2}])
    done = run("run", tiny_package, "--input", source, "--output", tmp_path / "out")
    assert done.code == 4
    assert json.loads(done.out)["failed"] == 2
    assert "no row has an answer; the column error says why" in done.err
    assert "--column text must hold texts" in done.err
    errors = pq.read_table(tmp_path / "out").column("error").to_pylist()
    assert errors == ["'text' must be a text, but is of the type int"] * 2


def test_a_pattern_and_files_that_the_shell_has_found(run: Run, tiny_package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("b", "a"):
        write_json(folder / f"{name}.jsonl", [name])
    outs = [tmp_path / name for name in ("one", "two", "three")]
    given: list[list[str | Path]] = [
        ["--input", f"{folder}/*.jsonl"],
        ["--input", folder / "a.jsonl", folder / "b.jsonl"],
        ["--input", folder],
    ]
    for out, inputs in zip(outs, given, strict=True):
        assert run("run", tiny_package, *inputs, "--output", out / "x", "--format", "jsonl").code == 0
        texts = [json.loads(line)["text"] for line in (out / "x" / "part-000000.jsonl").read_text().splitlines()]
        assert texts == ["a", "b"]
    done = run("run", tiny_package, "--input", folder, "--output", folder / "out")
    assert (done.code, "lies within the input" in done.err) == (2, True)


@pytest.mark.parametrize("mark", ["", "\ufeff", "\n \n", '{"id": 6, "text": null, "title": "s"}\n'])
def test_lines_with_columns_become_lines_with_columns(run: Run, tiny_package: Path, tmp_path: Path, mark: str) -> None:
    source, output = tmp_path / "in.ndjson", tmp_path / "out.jsonl"
    source.write_text(f'{mark}{{"id": 7, "text": "a fox", "title": "t"}}\n{{"id": 8, "text": null, "title": "u"}}\n')
    done = run("run", tiny_package, "--input", source, "--output", output, "--jsonl")
    assert done.code == 0, done.err
    first, second = map(json.loads, output.read_text().splitlines()[-2:])
    assert list(first) == ["id", "text", "title", "embedding", "truncated", "error"]
    assert (first["id"], first["error"], second["id"]) == (7, None, 8)
    assert second["error"] == "'text' must be a text, but is null"
    refused = run("run", tiny_package, "--input", source)  # to standard output
    assert (refused.code, "columns" in refused.err or "unknown keys id, title" in refused.err) == (4, True)


@pytest.mark.parametrize("line", ['"a fox"', '{"text": "a fox"}', '{"text": "a fox", "text_pair": "b"}', "{", "[]", ""])
def test_other_lines_are_items_of_the_task(run: Run, packages: dict[str, Path], tmp_path: Path, line: str) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(f"{line}\n")
    command = ("run", packages["classify"], "--input", source)
    plain, written = run(*command), run(*command, "--output", output)
    assert (written.code, written.err) == (plain.code, plain.err)
    assert (output.read_text() if output.exists() else "") == plain.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--column", "text"], "there is no --output"),
        (["--column", "text", "--output", "x.npz"], "rows go to a folder, or a file such as"),
        (["--column", "text", "--output", "x.xlsx"], "rows go to a folder, or a file such as"),
        (["--column", "text", "--output", "x.csv.gz"], "but the output is 'x.csv.gz'"),
        (["--output", "x", "--text-pair", "b"], "--text-pair does not apply to bulk runs"),
        (["--output", "x", "--shard", "2/2"], "not of the form I/N"),
        (["--output", "x", "--pair-column", "b"], "--pair-column is for the tasks classify and rerank"),
        (["--output", "x", "--query", "b"], "--query is for the task rerank"),
    ],
)
def test_what_does_not_fit_is_refused(
    run: Run, tiny_package: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    source = write_json(tmp_path / "in.jsonl", ["a"])
    done = run("run", tiny_package, "--input", source, *arguments)
    assert (done.code, said in done.err) == (2, True), done.err


def _rows(done: Done, folder: Path) -> list[dict[str, object]]:
    assert done.code == 0, done.err
    return [json.loads(line) for line in (folder / "part-000000.jsonl").read_text().splitlines()]


def test_other_tasks(run: Run, packages: dict[str, Path], tmp_path: Path) -> None:
    source = write_json(tmp_path / "in.jsonl", [{"q": "who?", "text": "a fox"}, {"q": None, "text": "the dog"}])

    def answer(task: str, *options: str) -> list[dict[str, object]]:
        out = tmp_path / "-".join([task, *options])
        command = ("run", packages[task], "--input", source, "--output", out, "--format", "jsonl", "--keep", "")
        return _rows(run(*command, *options), out)

    (first, second) = answer("rerank", "--pair-column", "q")
    assert isinstance(first["score"], float)
    assert (second["score"], second["error"]) == (None, "'q' must be a text, but is null")
    alone = json.loads(run("run", packages["rerank"], "--query", "who?", "a fox").out)
    assert first["score"] == pytest.approx(alone["score"], abs=1e-6)
    assert answer("rerank", "--query", "who?")[0]["score"] == pytest.approx(alone["score"], abs=1e-6)
    labels = json.loads(run("run", packages["classify"], "a fox").out)["labels"]
    found = answer("classify")[0]
    assert (found["label"], found["score"]) == (labels[0]["label"], pytest.approx(labels[0]["score"], abs=1e-6))
    assert isinstance(answer("token-classify")[0]["spans"], list)
    parquet = tmp_path / "parquet"
    for task in ("classify", "token-classify"):
        done = run("run", packages[task], "--input", source, "--output", parquet / task)
        assert done.code == 0, done.err
        assert pq.read_table(parquet / task).num_rows == 2


def test_a_run_that_is_killed_goes_on(bert_package: Path, tmp_path: Path) -> None:
    source = write_json(tmp_path / "in.jsonl", make_texts(1500))
    program = Path(sys.executable).with_name("inferox")
    command: list[str | Path] = [program, "run", bert_package, "--input", source, "--part-rows", "100"]
    command += ["--backend", "onnxruntime", "--threads", "1", "--resume", "--output"]  # which starts in no time
    once, often = tmp_path / "once", tmp_path / "often"
    subprocess.run([*command, once], check=True, capture_output=True, timeout=240)  # noqa: S603 - our own program
    process = subprocess.Popen([*command, often], stderr=subprocess.PIPE)  # noqa: S603
    while not list(often.glob("part-*")):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(list(often.glob("part-*"))) < 15
    subprocess.run([*command, often], check=True, capture_output=True, timeout=240)  # noqa: S603
    assert read_bytes(often) == read_bytes(once)
