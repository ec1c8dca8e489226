"""A bulk run: its output, its failed rows, and its state after an interruption."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from inferox.bulk import Watcher
from inferox.bulk.shards import manifest_name
from inferox.core import ConfigError, RequestError
from inferox.loading import TaskModel
from inferox.package import file_lock
from inferox.package.file_lock import FileLock
from tests.bulk.conftest import Bulk, StoppingWatcher, make_texts, read_bytes, write_json


def read_parts(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.glob("part-*.parquet")):
        rows += pq.read_table(path).to_pylist()
    return rows


def test_every_row_has_the_vector_that_embed_gives(bulk: Bulk, tiny: TaskModel, tmp_path: Path) -> None:
    texts = make_texts(120)
    source = write_json(tmp_path / "in.jsonl", [{"id": i, "text": text} for i, text in enumerate(texts)])
    result = bulk(source, tmp_path / "out", keep=("id",))
    assert (result.rows, result.failed, result.parts, result.computed) == (120, 0, 3, 120)
    rows = read_parts(tmp_path / "out")
    assert [row["id"] for row in rows] == list(range(120))
    assert list(rows[0]) == ["id", "embedding", "truncated", "error"]
    np.testing.assert_allclose([row["embedding"] for row in rows], tiny.embed(texts), atol=1e-6)
    schema = pq.read_schema(tmp_path / "out" / "part-000000.parquet")
    assert schema.field("embedding").type == pa.list_(pa.float32())
    assert schema.metadata[b"inferox.embedding_space"].decode() == tiny.metadata.embedding_space


def test_the_manifest_says_what_there_is(bulk: Bulk, tmp_path: Path) -> None:
    source = write_json(tmp_path / "in.jsonl", [*make_texts(59), None])
    bulk(source, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert (manifest["rows"], manifest["failed"], manifest["complete"]) == (60, 1, True)
    for part in manifest["parts"]:
        content = (tmp_path / "out" / part["file"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (part["size_bytes"], part["sha256"])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "_manifest.json",
        "part-000000.parquet",
        "part-000001.parquet",
    }


def test_rows_that_fail_say_why_and_leave_the_others_alone(bulk: Bulk, tiny: TaskModel, tmp_path: Path) -> None:
    lines = [b'"a fox"', b'{"text": null}', b"{", b'"\\ud800"', b"17", b'{"id": 1}', b'"\xff"', b'{"text": "a dog"}']
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))
    result = bulk(tmp_path / "in.jsonl", tmp_path / "out", keep=())
    assert (result.rows, result.failed) == (8, 6)
    rows = read_parts(tmp_path / "out")
    assert [row["embedding"] is None for row in rows] == [False, *[True] * 6, False]
    assert [row["error"] is None for row in rows] == [row["embedding"] is not None for row in rows]
    for row, said in zip(
        rows[1:7], ("is null", "not JSON", "lone surrogate", "but is 17", "is null", "not UTF-8"), strict=True
    ):
        assert said in row["error"]
    expected = tiny.embed(["a fox", "a dog"])
    np.testing.assert_allclose([rows[0]["embedding"], rows[7]["embedding"]], expected, atol=1e-6)


def test_a_row_that_fails_ends_a_run_that_says_so(bulk: Bulk, tmp_path: Path) -> None:
    source = write_json(tmp_path / "in.jsonl", [*make_texts(70), None])
    with pytest.raises(RequestError, match="string, but is null"):
        bulk(source, tmp_path / "out", on_error="fail")
    assert json.loads((tmp_path / "out" / "_manifest.json").read_text())["rows"] == 50
    good = write_json(tmp_path / "good.jsonl", make_texts(3))
    bulk(good, tmp_path / "good", on_error="fail")
    assert "error" not in read_parts(tmp_path / "good")[0]


@pytest.mark.parametrize("bad", [3, 61, 68])
def test_the_row_that_ends_a_run_is_named_with_its_file(bulk: Bulk, tmp_path: Path, bad: int) -> None:
    # The first file ends within the second part, of which the first was computed by an earlier run.
    texts: list[str | None] = [*make_texts(80)]
    texts[bad] = None
    sources = [tmp_path / "a.txt", tmp_path / "b.jsonl"]
    sources[0].write_text("".join(f"{text}\n" for text in make_texts(60)))
    write_json(sources[1], [{"text": text} for text in texts])
    named = rf"^row {bad + 1} of b\.jsonl: 'text' must be a text, but is null"
    for resume in (False, True):
        with pytest.raises(RequestError, match=named):
            bulk(sources, tmp_path / "out", on_error="fail", keep=(), resume=resume)


def test_a_line_that_cannot_be_read_is_named_once(bulk: Bulk, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('"a fox"\n{\n')
    with pytest.raises(RequestError, match=r"^line 2 of in\.jsonl is not JSON"):
        bulk(tmp_path / "in.jsonl", tmp_path / "out", on_error="fail")


def test_progress_says_nothing_twice() -> None:
    watcher = Watcher()
    watcher.begin(200, 50)
    watcher.advance(50)
    assert watcher.share == 0.5
    assert re.fullmatch(r"100 of 200 rows, [\d,]+ rows/s, \d+ s left", watcher.describe())
    watcher.advance(100)
    assert watcher.share == 1.0
    assert re.fullmatch(r"200 of 200 rows, [\d,]+ rows/s", watcher.describe())
    single = Watcher()
    single.begin(1, 0)
    assert single.describe().startswith("0 of 1 row, ")


def test_too_long_texts_are_counted_or_fail(bulk: Bulk, tmp_path: Path) -> None:
    source = write_json(tmp_path / "in.jsonl", ["a", "fox " * 600, "b"])
    assert (cut := bulk(source, tmp_path / "cut")).cut == 1
    assert cut.failed == 0
    assert [row["truncated"] for row in read_parts(tmp_path / "cut")] == [False, True, False]
    strict = bulk(source, tmp_path / "strict", truncate="error")
    assert (strict.cut, strict.failed) == (0, 1)
    assert "tokens" in read_parts(tmp_path / "strict")[1]["error"]
    assert [row["truncated"] for row in read_parts(tmp_path / "strict")] == [False, None, False]


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_run_that_was_stopped_anywhere_ends_in_the_same_bytes(bulk: Bulk, tmp_path: Path, form: str) -> None:
    rows = [{"id": i, "text": text if i % 31 else None} for i, text in enumerate(make_texts(230))]
    source = write_json(tmp_path / "in.jsonl", rows)
    bulk(source, tmp_path / "once", form=form)
    expected = read_bytes(tmp_path / "once")
    assert len(expected) == 6
    stops = 0
    for stop in range(20, 400, 40):
        try:
            result = bulk(source, tmp_path / "often", form=form, resume=True, watcher=StoppingWatcher(stop % 130 + 1))
        except KeyboardInterrupt:
            stops += 1
        else:
            assert result.rows == 230
            break
        assert not list((tmp_path / "often").glob(".*.tmp"))
    assert stops > 1
    bulk(source, tmp_path / "often", form=form, resume=True)
    assert read_bytes(tmp_path / "often") == expected


def test_a_part_that_the_manifest_does_not_list_is_made_again(bulk: Bulk, tmp_path: Path) -> None:
    source = write_json(tmp_path / "in.jsonl", make_texts(120))
    bulk(source, tmp_path / "once")
    expected = read_bytes(tmp_path / "once")
    manifest = json.loads(expected["_manifest.json"])
    # As a kill leaves it between the part's name and the manifest, and another one within a part.
    killed = manifest | {"complete": False, "parts": manifest["parts"][:1]}
    (tmp_path / "once" / "_manifest.json").write_text(json.dumps(killed))
    (tmp_path / "once" / ".part-000002.parquet.tmp").write_bytes(b"half")
    assert bulk(source, tmp_path / "once", resume=True).computed == 70
    assert read_bytes(tmp_path / "once") == expected


def test_what_differs_is_refused(bulk: Bulk, tmp_path: Path) -> None:
    source = write_json(tmp_path / "in.jsonl", make_texts(60))
    with pytest.raises(KeyboardInterrupt):
        bulk(source, tmp_path / "out", watcher=StoppingWatcher(55))
    before = read_bytes(tmp_path / "out")
    with pytest.raises(ConfigError, match="already has 1 finished part"):
        bulk(source, tmp_path / "out")
    with pytest.raises(ConfigError, match="with --part-rows 50, but is to be continued with --part-rows 40"):
        bulk(source, tmp_path / "out", resume=True, part_rows=40)
    with pytest.raises(ConfigError, match="its package was d, but now is e"):
        bulk(source, tmp_path / "out", resume=True, digest="e")
    with pytest.raises(ConfigError, match="with --format parquet, but is to be continued with --format jsonl"):
        bulk(source, tmp_path / "out", resume=True, form="jsonl")
    stamp = source.stat().st_mtime_ns
    source.write_text(source.read_text().replace("fox", "cow"), encoding="utf-8")
    os.utime(source, ns=(stamp, stamp))
    with pytest.raises(ConfigError, match=r"the content of in\.jsonl has changed, but not its size \("):
        bulk(source, tmp_path / "out", resume=True)
    assert read_bytes(tmp_path / "out") == before
    assert bulk(source, tmp_path / "out", force=True).rows == 60


def test_a_finished_part_that_is_gone_is_noticed(bulk: Bulk, tmp_path: Path) -> None:
    source = write_json(tmp_path / "in.jsonl", make_texts(60))
    bulk(source, tmp_path / "out")
    (tmp_path / "out" / "part-000000.parquet").unlink()
    with pytest.raises(ConfigError, match=r"part-000000\.parquet is not the finished part"):
        bulk(source, tmp_path / "out", resume=True)


def test_files_of_strangers_are_left_alone(bulk: Bulk, tmp_path: Path) -> None:
    source = write_json(tmp_path / "in.jsonl", make_texts(3))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part-000000.parquet").write_bytes(b"precious")
    with pytest.raises(ConfigError, match="no manifest says what it is"):
        bulk(source, tmp_path / "out")
    assert (tmp_path / "out" / "part-000000.parquet").read_bytes() == b"precious"


def test_shards_together_are_the_whole(bulk: Bulk, tmp_path: Path) -> None:
    files = [write_json(tmp_path / f"{i}.jsonl", make_texts(count, i)) for i, count in enumerate((70, 1, 0, 110))]
    bulk(files, tmp_path / "whole")
    for index in range(3):
        bulk(files, tmp_path / "shards", shard=(index, 3))
    whole, shards = read_bytes(tmp_path / "whole"), read_bytes(tmp_path / "shards")
    assert {name: content for name, content in shards.items() if name.startswith("part")} == {
        name: content for name, content in whole.items() if name.startswith("part")
    }
    assert "_manifest-2-of-3.json" in shards
    assert len(read_parts(tmp_path / "shards")) == 181


@pytest.mark.parametrize("is_complete", [True, False])
@pytest.mark.parametrize(
    ("begun", "asked", "said"),
    [
        ((0, 1), (0, 2), r"part-000000\.parquet belongs to a run without --shard, as _manifest\.json says"),
        ((0, 1), (1, 2), r"part-000001\.parquet belongs to a run without --shard, as _manifest\.json says"),
        ((0, 3), (0, 1), r"part-000000\.parquet belongs to a run with --shard 0/3, as _manifest-0-of-3\.json says"),
        ((1, 3), (0, 2), r"part-000004\.parquet belongs to a run with --shard 1/3, as _manifest-1-of-3\.json says"),
    ],
)
def test_parts_of_another_sharding_are_named_with_their_run(
    bulk: Bulk, tmp_path: Path, begun: tuple[int, int], asked: tuple[int, int], said: str, *, is_complete: bool
) -> None:
    source, out = write_json(tmp_path / "in.jsonl", make_texts(80)), tmp_path / "out"
    bulk(source, out, shard=begun, part_rows=10)
    if not is_complete:
        (manifest,) = out.glob("_manifest*.json")
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"complete": False}))
    before = read_bytes(out)
    again = "without --shard" if begun == (0, 1) else f"and --shard {begun[0]}/{begun[1]}"
    for resume in (True, False):
        with pytest.raises(ConfigError, match=said) as caught:
            bulk(source, out, shard=asked, part_rows=10, resume=resume)
        assert read_bytes(out) == before
        advice = str(caught.value).partition(" says")[2]
        assert (f"--resume {again}" in advice, "--force" in advice) == (not is_complete, is_complete)
    assert bulk(source, out, shard=begun, part_rows=10, resume=True).computed == 0
    before = read_bytes(out)
    lock = FileLock.exclude(out / f".{next(out.glob('_manifest*.json')).name}.lock")
    assert lock is not None
    with lock, pytest.raises(ConfigError, match=r"another run writes to .*, as _manifest.*\.json says"):
        bulk(source, out, shard=asked, part_rows=10, force=True)
    lock.remove()
    assert read_bytes(out) == before
    assert bulk(source, out, shard=asked, part_rows=10, force=True).rows > 0
    assert [path.name for path in out.glob("_manifest*.json")] == [manifest_name(asked)]


def test_a_disk_without_locks_is_written_to(bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lock(_descriptor: int, *, shared: bool, wait: bool) -> None:
        raise OSError(errno.ENOLCK, f"no locks: {shared}, {wait}")

    source, out = write_json(tmp_path / "in.jsonl", make_texts(20)), tmp_path / "out"
    bulk(source, tmp_path / "locked", part_rows=10)
    monkeypatch.setattr(file_lock, "_lock", lock)
    bulk(source, out, part_rows=10)
    assert read_bytes(out) == read_bytes(tmp_path / "locked")
    assert bulk(source, out, shard=(0, 2), part_rows=10, force=True).rows == 10
    assert [path.name for path in out.glob("_manifest*.json")] == [manifest_name((0, 2))]


def test_columns_keep_their_types(bulk: Bulk, tmp_path: Path) -> None:
    rows = [{"text": "a", "n": 1, "x": None, "tags": ["p"]}, {"text": "b", "n": None, "x": "y", "tags": []}]
    bulk(write_json(tmp_path / "in.jsonl", rows), tmp_path / "out")
    schema = pq.read_schema(tmp_path / "out" / "part-000000.parquet")
    assert [str(schema.field(name).type) for name in ("text", "n", "x")] == ["string", "int64", "string"]
    assert [row["tags"] for row in read_parts(tmp_path / "out")] == [["p"], []]


def test_columns_that_cannot_be_are_refused(bulk: Bulk, tmp_path: Path) -> None:
    source = write_json(tmp_path / "in.jsonl", [{"text": "a", "error": 1}])
    with pytest.raises(ConfigError, match="'error', which is also the name of an answer column"):
        bulk(source, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"no column 'body'.*it has text, error"):
        bulk(source, tmp_path / "out", column="body")
    huge = write_json(tmp_path / "huge.jsonl", [{"text": "b", "n": None}, {"text": "a", "n": 2**70}])
    with pytest.raises(
        ConfigError, match="no value of 'n' has a type that the file can hold, such as 1180591620717411"
    ):
        bulk(huge, tmp_path / "huge")


def test_a_row_with_a_key_that_the_first_rows_lack_fails_alone(bulk: Bulk, tmp_path: Path) -> None:
    usual = {"text": "a", "n": 1}
    rows = [*[usual] * 1100, {"text": "b", "m": 1}, {"text": "c"}, usual]
    later = write_json(tmp_path / "later.jsonl", rows[1100:])
    source = write_json(tmp_path / "in.jsonl", rows)
    assert bulk(source, tmp_path / "out").failed == 1
    answered = read_parts(tmp_path / "out")
    assert [row["embedding"] is None for row in answered[1098:]] == [False, False, True, False, False]
    assert answered[1100] == {
        **answered[1100],
        "text": "b",
        "n": None,
        "error": "line 1101 of in.jsonl has the key 'm', which the first 1,024 rows of the first file do not have; "
        "choose the columns with --keep",
    }
    assert bulk(source, tmp_path / "kept", keep=("n",)).failed == 0
    with pytest.raises(RequestError, match=r"line 1101 of in\.jsonl has the key 'm'"):
        bulk(source, tmp_path / "strict", on_error="fail")
    # A file that begins with other keys is refused as one of another form is.
    first = write_json(tmp_path / "first.jsonl", [usual])
    with pytest.raises(RequestError, match=r"later\.jsonl has the column 'm', which the first file does not have"):
        bulk([first, later], tmp_path / "two")
    empty = write_json(tmp_path / "empty.jsonl", [])
    body = write_json(tmp_path / "body.jsonl", [{"body": "a"}])
    assert bulk([body, empty], tmp_path / "with-empty", column="body").rows == 1


@pytest.mark.parametrize(
    ("usual", "other", "kind"),
    [
        (1, "two", "int64"),
        ("one", 2, "string"),
        (1, 2**70, "int64"),
        (1.5, [1], "double"),
        ([1], {"a": 1}, "list<item: int64>"),
        (True, "no", "bool"),
    ],
    ids=str,
)
@pytest.mark.parametrize(("form", "before"), [("parquet", 2), ("parquet", 1100), ("arrow", 2)])
def test_a_row_whose_kept_value_does_not_fit_fails_alone(  # noqa: PLR0917 - fixtures beside the cases
    bulk: Bulk, tmp_path: Path, usual: object, other: object, kind: str, form: str, before: int
) -> None:
    rows = [{"text": f"text {index}", "n": usual} for index in range(before)] + [{"text": "b", "n": other}]
    source = write_json(tmp_path / "in.jsonl", [*rows, {"text": "c", "n": usual}])
    found = bulk(source, tmp_path / "out", form=form, part_rows=2_000)
    assert (found.rows, found.failed) == (before + 2, 1)
    read = pq.read_table if form == "parquet" else feather.read_table
    answered = read(tmp_path / "out" / f"part-000000.{form}").to_pylist()
    assert [row["n"] for row in answered] == [*[usual] * before, None, usual]
    failed = answered[before]
    assert (failed["text"], failed["embedding"]) == ("b", None)
    assert failed["error"] == f"row {before + 1:,} of in.jsonl: 'n' is {other!r}, but the column has the type {kind}"
    assert all(row["error"] is None and row["embedding"] for row in answered if row is not failed)
    with pytest.raises(RequestError, match=rf"^row {before + 1:,} of .*'n' is .*--on-error keep"):
        bulk(source, tmp_path / "fail", form=form, on_error="fail")


@pytest.mark.parametrize(
    ("usual", "other", "kind"),
    [
        (1, 1.5, "int64"),
        (1.5, True, "double"),
        ([1], [1.5], "list<item: int64>"),
        ({"a": 1}, {"a": 1, "b": 2}, "struct<a: int64>"),
        ([{"a": [1]}], [{"a": [1]}, {"a": [1.5]}], "list<item: struct<a: list<item: int64>>>"),
    ],
    ids=str,
)
@pytest.mark.parametrize("repeats", [1, 2])
def test_a_value_that_its_column_could_only_hold_in_part_is_an_error(  # noqa: PLR0917 - a fixture beside the cases
    bulk: Bulk, tmp_path: Path, usual: object, other: object, kind: str, repeats: int
) -> None:
    # pyarrow itself writes 1 for 1.5, and drops keys.
    first = [{"text": "a", "n": usual}] * 1024
    rows = [*first, *[{"text": "b", "n": other}] * repeats, {"text": "c", "n": None}, {"text": "d", "n": usual}]
    found = bulk(write_json(tmp_path / "in.jsonl", rows), tmp_path / "out")
    assert found.failed == repeats
    assert found.first_error == f"row 1,025 of in.jsonl: 'n' is {other!r}, but the column has the type {kind}"
    answered = pq.read_table(tmp_path / "out").column("n").to_pylist()
    assert answered == [usual] * 1024 + [None] * (repeats + 1) + [usual]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (pa.array(["x"]), pa.array([7]), None),
        (pa.array([True]), pa.array([1]), None),
        (pa.array([1], pa.date32()), pa.array([2], pa.int32()), None),
        (pa.array([0.5], pa.float32()), pa.array([1e300]), None),
        (pa.array([{"a": 1}]), pa.array([{"a": 1, "b": 2}]), None),
        (pa.array([1]), pa.array([2], pa.int8()), 2),
        (pa.array([1]), pa.array([float("nan")]), None),
        (pa.array([1.5]), pa.array([float("nan")], pa.float32()), pytest.approx(float("nan"), nan_ok=True)),
        (pa.array([{"a": 1, "b": 2}]), pa.array([{"a": 3}]), {"a": 3, "b": None}),
        (pa.array(["x"], pa.large_string()), pa.array(["y"]).dictionary_encode(), "y"),
    ],
    ids=lambda value: str(getattr(value, "type", value)),
)
def test_values_of_a_later_file_are_those_of_its_own_type_or_errors(
    bulk: Bulk, tmp_path: Path, first: pa.Array, second: pa.Array, kept: object
) -> None:
    for name, column in (("a", first), ("b", second)):
        pq.write_table(pa.table({"text": ["a fox"], "n": column}), tmp_path / f"{name}.parquet")
    found = bulk([tmp_path / "a.parquet", tmp_path / "b.parquet"], tmp_path / "out")
    assert found.failed == (kept is None)
    assert pq.read_table(tmp_path / "out").column("n").to_pylist() == [first[0].as_py(), kept]


def test_a_text_that_is_none_fails_alone_whatever_is_kept(bulk: Bulk, tmp_path: Path) -> None:
    source = write_json(tmp_path / "in.jsonl", [{"text": "a"}, {"text": 5}, {"text": ["b"]}, {"text": "c"}])
    for form in ("parquet", "arrow", "jsonl", "csv"):
        assert (bulk(source, tmp_path / form, form=form).failed) == 2
    rows = read_parts(tmp_path / "parquet")
    assert [row["text"] for row in rows] == ["a", None, None, "c"]
    assert [row["error"] is None for row in rows] == [True, False, False, True]


def test_nothing_is_an_output_too(bulk: Bulk, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"")
    assert bulk(tmp_path / "in.txt", tmp_path / "out").rows == 0
    assert pq.read_table(tmp_path / "out").column_names == ["text", "embedding", "truncated", "error"]
    with pytest.raises(RequestError, match="there is no file"):
        bulk(tmp_path / "*.jsonl", tmp_path / "none")
