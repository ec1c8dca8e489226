"""Every kind of file, in and out: rows are written faithfully, and an interrupted run ends with the same files."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferox.bulk.readers import open_reader
from inferox.core import ConfigError, RequestError
from inferox.loading import TaskModel
from inferox.tasks import VectorForm
from tests.bulk.conftest import Bulk, StoppingWatcher, make_texts, read_bytes, write_json

TEXTS = ["a fox", 'with "quotes", and\na line break', "東京\u2028🙂", "", "b" * 200]


def write_csv(path: Path, texts: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter="\t" if path.suffix == ".tsv" else ",").writerows(
            [["id", "text"], *([str(index), text] for index, text in enumerate(texts))]
        )


def write_table(path: Path, texts: list[str]) -> None:
    table = pa.table({"id": pa.array(range(len(texts)), pa.int16()), "text": texts})
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=7)
    else:
        new = pa.ipc.new_stream if path.stem.endswith("-stream") else pa.ipc.new_file
        with new(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=7)


WRITERS: dict[str, Callable[[Path, list[str]], Any]] = {
    ".csv": write_csv,
    ".tsv": write_csv,
    ".parquet": write_table,
    ".arrow": write_table,
    "-stream.arrow": write_table,
    ".jsonl": write_json,
    "-blank.jsonl": lambda path, texts: (
        write_json(path, texts) and path.write_bytes(b"\n" + path.read_bytes().replace(b"\n", b"\n \t\r\n\n"))
    ),
    ".npy": lambda path, texts: np.save(path, np.array(texts)),
}


@pytest.mark.parametrize("suffix", WRITERS)
@settings(max_examples=25)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30)), max_size=8))
def test_taking_and_skipping_go_through_all_rows(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, steps: list[tuple[bool, int]]
) -> None:
    texts = [*TEXTS, *make_texts(45)]
    path = tmp_path_factory.mktemp("rows") / f"in{suffix}"
    WRITERS[suffix](path, texts)
    with open_reader(path) as reader:
        assert reader.rows in {None, 50}
        reader.select(["text"], is_all=False)
        done = 0
        for is_skip, count in steps:
            if is_skip:
                assert reader.skip(count) == min(count, 50 - done)
            else:
                rows = reader.take(count)
                assert rows.values("text") == texts[done : done + count]
                assert len(rows) == len(rows.values("text"))
            done = min(done + count, 50)
        assert reader.position <= 1
        assert (reader.position == 1) >= (done == 50 and reader.rows is not None)


def test_what_is_compressed_is_read_alike(tmp_path: Path) -> None:
    for suffix in (".csv", ".jsonl"):
        WRITERS[suffix](tmp_path / f"in{suffix}", TEXTS)
        path = tmp_path / f"in{suffix}.gz"
        path.write_bytes(gzip.compress((tmp_path / f"in{suffix}").read_bytes()))
        with open_reader(path) as reader:
            reader.select(["text"], is_all=False)
            assert reader.take(99).values("text") == TEXTS
        path.write_bytes(path.read_bytes()[:-12])
        with open_reader(path) as reader:
            reader.select(["text"], is_all=False)
            with pytest.raises(RequestError, match="cannot be read"):
                reader.take(99)


def test_blank_lines_are_rows_of_text_and_not_of_json(tmp_path: Path) -> None:
    for suffix, texts in ((".jsonl", ["a", "b"]), (".txt", ['{"text": "a"}', "", "oops", "", '{"text": "b"}', ""])):
        (tmp_path / f"in{suffix}").write_text('{"text": "a"}\n\noops\n\n{"text": "b"}\n\n')
        with open_reader(tmp_path / f"in{suffix}") as reader:
            reader.select(["text"], is_all=False)
            rows = reader.take(9)
        assert [text for text, error in zip(rows.values("text"), rows.errors, strict=True) if error is None] == texts
        if suffix == ".jsonl":
            assert [error for error in rows.errors if error] == [str(rows.errors[1])]
            assert str(rows.errors[1]).startswith("line 3 of in.jsonl is not JSON")


def test_rows_of_csv_that_are_not_whole_have_an_error(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b'id,text\n1,a\n2\n\n3,\xff\n4,"b\nc"\n')
    with open_reader(tmp_path / "in.csv") as reader:
        reader.select(["text"], is_all=False)
        rows = reader.take(9)
    assert rows.values("text") == ["a", None, None, "b\nc"]
    assert [error is None for error in rows.errors] == [True, False, False, True]
    assert "line 3 of in.csv has 1 value" in str(rows.errors[1])
    assert "line 5 of in.csv is not UTF-8" in str(rows.errors[2])


def _saved(values: list[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(values, object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("in.csv", b"", "has no header"),
        ("in.csv", b"text,text\na,b\n", "2 columns 'text'"),
        ("in.parquet", b"no", "is not a Parquet file"),
        ("in.arrow", b"no", "is neither an Arrow file nor an Arrow stream"),
        ("in.npy", b"no", "is not a NumPy file"),
        ("in.npy", _saved(["a", None]), r"holds Python objects, .*np\.save\(path, array\.astype\(str\)\)"),
        ("in.doc", b"no", "must end in"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)

    def read() -> None:
        with open_reader(tmp_path / name) as reader:
            reader.select(["text"], is_all=False)

    with pytest.raises((RequestError, ConfigError), match=said):
        read()


def test_numbers_are_not_texts(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.zeros((3, 2)))
    with pytest.raises(RequestError, match="must be a one-dimensional array of texts"):
        open_reader(tmp_path / "in.npy")


def test_parquet_keeps_the_types_of_its_columns(bulk: Bulk, tmp_path: Path) -> None:
    when = pa.array([1, None, 3], pa.timestamp("us", "UTC"))
    table = pa.table(
        {"body": ["a", None, "c"], "when": when, "tags": [["x"], [], None], "n": pa.array([1, 2, 3], pa.int8())}
    )
    pq.write_table(table, tmp_path / "in.parquet")
    result = bulk(tmp_path / "in.parquet", tmp_path / "out.parquet", column="body")
    assert (result.rows, result.failed) == (3, 1)
    written = pq.read_table(tmp_path / "out.parquet")
    for name in table.column_names:
        assert written.column(name).type == table.column(name).type
        assert written.column(name).to_pylist() == table.column(name).to_pylist()
    other = table.drop_columns("n")
    pq.write_table(other, tmp_path / "other.parquet")
    with pytest.raises(
        RequestError, match=r"no column 'n' \(it has .*; without --keep, all columns of the first file are kept"
    ):
        bulk([tmp_path / "in.parquet", tmp_path / "other.parquet"], tmp_path / "both", column="body")


def read_vectors(path: Path) -> list[Any]:
    if path.suffix == ".npy":
        return list(np.load(path).tolist())
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as stream:
            return [json.loads(row["embedding"]) for row in csv.DictReader(stream)]
    if path.suffix == ".jsonl":
        return [json.loads(line)["embedding"] for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".arrow":
        with pa.memory_map(str(path)) as mapped:
            return list(pa.ipc.open_file(mapped).read_all()["embedding"].to_pylist())
    return list(pq.read_table(path)["embedding"].to_pylist())


@pytest.mark.parametrize("form", ["parquet", "arrow", "jsonl", "csv", "npy"])
def test_one_file_is_the_same_whatever_interrupted_it(bulk: Bulk, tiny: TaskModel, tmp_path: Path, form: str) -> None:
    texts = make_texts(130)
    source = tmp_path / "in.csv"
    write_csv(source, texts)
    options: dict[str, Any] = {"keep": (), "on_error": "fail"} if form == "npy" else {}
    once, often = tmp_path / "once" / f"out.{form}", tmp_path / "often" / f"out.{form}"
    bulk(source, once, **options)
    np.testing.assert_allclose(read_vectors(once), tiny.embed(texts), atol=1e-6)
    with pytest.raises(KeyboardInterrupt):
        bulk(source, often, watcher=StoppingWatcher(70), **options)
    assert not often.exists()
    with pytest.raises(ConfigError, match=r"already has 1 finished part.*continue with --resume"):
        bulk(source, often, **options)
    assert bulk(source, often, resume=True, **options).computed == 80
    assert read_bytes(often.parent) == read_bytes(once.parent)
    assert bulk(source, often, resume=True, **options).computed == 0
    with pytest.raises(ConfigError, match="already has a complete output") as caught:
        bulk(source, often, **options)
    assert "--force" in str(caught.value)
    assert "--resume" not in str(caught.value)  # nothing is left to continue
    often.unlink()
    with pytest.raises(ConfigError, match="is missing, although"):
        bulk(source, often, resume=True, **options)
    often.write_bytes(b"precious")
    often.with_name(f"{often.name}.manifest.json").unlink()
    with pytest.raises(ConfigError, match="no manifest says what it is"):
        bulk(source, often, resume=True, **options)
    assert often.read_bytes() == b"precious"
    bulk(source, often, force=True, **options)
    assert read_bytes(often.parent) == read_bytes(once.parent)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "binary", "ubinary"])
def test_forms_of_vectors_are_those_of_embed(bulk: Bulk, tiny: TaskModel, tmp_path: Path, dtype: str) -> None:
    texts = make_texts(20)
    source, form = write_json(tmp_path / "in.jsonl", [*texts, None]), VectorForm(8, normalize=True, dtype=dtype)
    bulk(source, tmp_path / "out.parquet", form=form)
    column = pq.read_table(tmp_path / "out.parquet")["embedding"].combine_chunks()
    expected = tiny.embed(texts, truncate_dim=8, normalize=True, dtype=dtype)
    assert column.type == pa.list_(pa.from_numpy_dtype(expected.dtype))
    assert column.values.to_numpy().shape == (20 * expected.shape[1],)  # nulls take no values
    assert column[20].as_py() is None
    found: npt.NDArray[Any] = np.array(column[:20].to_pylist(), expected.dtype)
    np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=1e-3 if dtype == "float16" else 1e-6)


def test_more_numbers_than_vectors_have_are_refused_before_anything_is_read(bulk: Bulk, tmp_path: Path) -> None:
    source = write_json(tmp_path / "in.jsonl", make_texts(3))
    with pytest.raises(RequestError, match="truncate_dim is 999, but the vectors have 16 numbers"):
        bulk(source, tmp_path / "out", form=VectorForm(999))
    assert not (tmp_path / "out").exists()


def test_an_array_has_vectors_alone(bulk: Bulk, tmp_path: Path) -> None:
    source = write_json(tmp_path / "in.jsonl", ["a"])
    with pytest.raises(ConfigError, match=r"an \.npy file holds only vectors or scores"):
        bulk(source, tmp_path / "out.npy")
    with pytest.raises(ConfigError, match="the format is csv, but the name of"):
        bulk(source, tmp_path / "out.parquet", form="csv")
    with pytest.raises(ConfigError, match="a shard writes parts into a folder"):
        bulk(source, tmp_path / "out.parquet", shard=(0, 2))


@pytest.mark.parametrize("bad", [b"null", b"{"])
@pytest.mark.parametrize("form", ["parquet", "csv", "npy"])
def test_a_failed_row_comes_with_advice_that_the_format_can_take(
    bulk: Bulk, tmp_path: Path, form: str, bad: bytes
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(b'"a"\n' + bad)
    with pytest.raises(RequestError) as caught:
        bulk(source, tmp_path / f"out.{form}", keep=(), on_error="fail")
    advice = "write another format, such as .parquet, where --on-error keep continues"
    assert (advice in str(caught.value)) == (form == "npy")
    assert "--on-error keep continues" in str(caught.value)
    advised = tmp_path / ("out.parquet" if form == "npy" else f"again.{form}")
    assert bulk(source, advised, keep=(), on_error="keep").failed == 1


@pytest.mark.parametrize("name", ["new/out", "new/out.parquet"])
def test_what_is_refused_leaves_nothing_behind(bulk: Bulk, tmp_path: Path, name: str) -> None:
    source, output = write_json(tmp_path / "in.jsonl", ["a"]), tmp_path / name
    for _ in range(2):
        with pytest.raises(ConfigError, match="no column 'body'"):
            bulk(source, output, column="body")
        assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]
    output.parent.mkdir()
    (output.parent / "mine.txt").write_text("precious")
    with pytest.raises(ConfigError, match="no column 'body'"):
        bulk(source, output, column="body")
    assert [path.name for path in output.parent.iterdir()] == ["mine.txt"]
    assert bulk(source, output).rows == 1


@pytest.mark.parametrize("name", ["out", "out.parquet"])
def test_what_is_refused_replaces_nothing(bulk: Bulk, tmp_path: Path, name: str) -> None:
    source, output = write_json(tmp_path / "in.jsonl", ["a"]), tmp_path / name
    assert bulk(source, output).rows == 1
    folder = output if output.is_dir() else tmp_path
    before = read_bytes(folder)
    with pytest.raises(ConfigError, match="no column 'body'"):
        bulk(source, output, column="body", force=True)
    assert read_bytes(folder) == before
    assert bulk(source, output, resume=True).computed == 0
