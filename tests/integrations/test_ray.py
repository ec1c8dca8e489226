"""Ray Data on a local cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import inferox
from inferox.bulk import BulkOptions, run_bulk
from inferox.core import ConfigError
from inferox.tasks import VectorForm
from tests.bulk.conftest import make_texts
from tests.docs.pages import DOCS, read_blocks, run_python

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'inferox[ray]'")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        # The actors are separate processes, and import this source tree. Ray starts more of them for a runtime_env.
        patch.setenv("PYTHONPATH", str(Path(inferox.__file__).parents[1]))
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        ray.init(
            num_cpus=4,  # as Ray counts: two actors, and tasks that read and write beside them
            include_dashboard=False,
            object_store_memory=200_000_000,
            log_to_driver=False,
        )
        yield
        ray.shutdown()


def answer(table: pa.Table, package: Path, options: BulkOptions) -> pa.Table:
    from inferox.integrations.ray import RowActor

    answered: pa.Table = RowActor(str(package), options, {"threads": 1})(table)
    return answered


def make_rows() -> pa.Table:
    texts: list[Any] = make_texts(60)
    texts[17] = None
    return pa.table({"id": pa.array(range(60), pa.int16()), "text": texts})


def check(answered: pa.Table, package: Path) -> None:
    rows = sorted(answered.to_pylist(), key=lambda row: row["id"])
    assert [row["id"] for row in rows] == list(range(60))
    assert [row["id"] for row in rows if row["error"] is not None] == [17]
    assert rows[17]["embedding"] is None
    with inferox.load(package, threads=1) as model:
        good = [text for text in make_rows()["text"].to_pylist() if text is not None]
        expected = model.embed(good)
    found = [row["embedding"] for row in rows if row["error"] is None]
    np.testing.assert_allclose(np.array(found), expected, atol=1e-6)


def test_an_actor_answers_a_table(bert_package: Path) -> None:
    answered = answer(make_rows(), bert_package, BulkOptions(keep=("id",)))
    check(answered, bert_package)
    assert answered.schema.field("id").type == pa.int16()
    small = answer(make_rows(), bert_package, BulkOptions(form=VectorForm(dtype="int8")))
    assert small.schema.field("embedding").type == pa.list_(pa.int8())
    with pytest.raises(ConfigError, match="no column 'body'"):
        answer(make_rows(), bert_package, BulkOptions(column="body"))


def test_an_actor_writes_what_a_run_on_files_writes(bert_package: Path, tmp_path: Path) -> None:
    pq.write_table(make_rows(), tmp_path / "in.parquet")
    options = BulkOptions(keep=("id",))
    with inferox.load(bert_package, threads=1) as model:
        run_bulk(model, "digest", [str(tmp_path / "in.parquet")], tmp_path / "out", options)
    assert answer(make_rows(), bert_package, options).equals(pq.read_table(tmp_path / "out"))  # bit by bit


def test_what_does_not_fit_is_refused() -> None:
    from inferox.integrations.ray import answer_rows

    dataset: Any = None
    for wrong in ({"threads": 0, "actors": 1}, {"threads": 1, "actors": (2, 1)}):
        options: Any = wrong
        with pytest.raises(ConfigError, match="must be 1 or more"):
            answer_rows(dataset, "p", **options)
    with pytest.raises(ConfigError, match="load_options has 'thread', but takes"):
        answer_rows(dataset, "p", threads=1, actors=1, load_options={"thread": 1})
    with pytest.raises(ConfigError, match="Ray divides a dataset itself"):
        answer_rows(dataset, "p", threads=1, actors=1, options=BulkOptions(shard=(0, 2)))


@pytest.mark.usefixtures("cluster")
def test_the_page_runs_with_two_actors(bert_package: Path, tmp_path: Path) -> None:
    (block,) = (block for block in read_blocks(DOCS / "scale.md") if block.language == "python")
    (tmp_path / "corpus").mkdir()
    pq.write_table(make_rows(), tmp_path / "corpus" / "part.parquet")
    (tmp_path / "minilm.mlpkg").symlink_to(bert_package)
    size = "threads=1, actors=(4, 512)"
    assert size in block.text
    text = block.text.replace(size, "threads=1, actors=2, batch_rows=16").replace("/shared/", f"{tmp_path}/")
    run_python(replace(block, text=text), {})
    check(pq.read_table(tmp_path / "vectors"), bert_package)
    # Ray reads the file as one block, which would be one actor's work.
    counts = [pq.read_metadata(file).num_rows for file in (tmp_path / "vectors").glob("*.parquet")]
    assert sorted(counts) == [12, 16, 16, 16]
