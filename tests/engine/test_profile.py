"""What was measured of a package: kept, read back, ignored where it says nothing, and interpolated."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import ConfigError, ManifestError
from inferox.engine.profile import Cell, Profile, find_profile, machine_name, save_profile
from inferox.package import Store

DIGEST = "ab" * 32
NAMES = st.text(st.characters(codec="utf-8"), max_size=8)
SECONDS = st.floats(1e-9, 1e6)
GRIDS = st.builds(
    lambda rows, lengths, seconds: tuple(
        Cell(count, length, seconds[index * len(lengths) + place])
        for index, count in enumerate(rows)
        for place, length in enumerate(lengths)
    ),
    st.lists(st.integers(1, 256), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(1, 512), min_size=1, max_size=4, unique=True),
    st.lists(SECONDS, min_size=16, max_size=16),
)


def make_profile(cells: tuple[Cell, ...] = (Cell(1, 8, 0.5), Cell(4, 8, 1.5)), **changes: Any) -> Profile:
    profile = Profile(DIGEST, machine_name(), 2, "2026-01-01T00:00:00+00:00", {"a": cells})
    return replace(profile, **changes)


@given(cells=st.dictionaries(NAMES, GRIDS, max_size=3), threads=st.integers(1, 64))
def test_a_profile_reads_back(cells: dict[str, tuple[Cell, ...]], threads: int) -> None:
    profile = replace(make_profile(), cells=cells, threads=threads)
    assert Profile.from_json(json.loads(json.dumps(profile.to_json()))) == profile


def test_what_is_kept_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert find_profile(DIGEST, store) == find_profile("cd" * 32, store)
    assert find_profile(DIGEST, store).ignored is None
    save_profile(make_profile(threads=1), store)
    path = save_profile(make_profile(), store)
    found = find_profile(DIGEST, store)
    assert (found.profile, found.ignored) == (make_profile(), None)
    assert find_profile("cd" * 32, store).profile is None
    assert list(path.parent.iterdir()) == [path]


def change(**fields: Any) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps({**make_profile().to_json(), **fields}))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff\xfe{}"),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text(path.read_text()[:-20]),
        change(version=2),
        change(version=None),
        change(threads="2"),
        change(threads=None),
        change(cells=[]),
        change(cells={"a": 1}),
        change(cells={"a": [[1, 8]]}),
        change(cells={"a": [[1, 8, "fast"]]}),
        change(cells={"a": [[0, 8, 1.0]]}),
        change(cells={"a": [[1, 0, 1.0]]}),
        change(cells={"a": [[1, 8, 0.0]]}),
        change(cells={"a": [[1, 8, math.nan]]}),
        change(cells={"a": [[1, 8, math.inf]]}),
        change(cells={"a": [[math.inf, 8, 1.0]]}),
    ],
)
def test_a_file_that_was_damaged_is_ignored_and_named(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    store = Store(tmp_path)
    path = save_profile(make_profile(), store)
    spoil(path)
    found = find_profile(DIGEST, store)
    assert found.profile is None
    assert str(found.ignored).startswith(f"{path} cannot be read: ")


def test_a_profile_of_another_machine_is_ignored_and_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    save_profile(make_profile(machine="another"), store)
    found = find_profile(DIGEST, store)
    assert (found.profile, found.ignored) == (None, "it was measured on another machine; run 'inferox tune' here")


@pytest.mark.parametrize("changes", [{"machine": "another"}, {"digest": "cd" * 32}])
def test_a_profile_in_the_wrong_place_is_ignored_and_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    store = Store(tmp_path)
    save_profile(make_profile(**changes), store).replace(save_profile(make_profile(), store))
    found = find_profile(DIGEST, store)
    assert (found.profile, found.ignored) == (None, "it is of another machine or package; run 'inferox tune' here")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "profiles").write_text("no folder")
    with pytest.raises(ConfigError, match="the profile cannot be written to"):
        save_profile(make_profile(), Store(tmp_path))


@given(cells=GRIDS)
def test_what_was_measured_is_what_is_expected(cells: tuple[Cell, ...]) -> None:
    profile = make_profile(cells)
    for cell in cells:
        assert profile.seconds("a", cell.rows, cell.length) == pytest.approx(cell.seconds, rel=1e-9)


@given(cells=GRIDS, rows=st.integers(1, 256), length=st.integers(1, 512))
def test_what_lies_between_is_between(cells: tuple[Cell, ...], rows: int, length: int) -> None:
    seconds = [cell.seconds for cell in cells]
    within = rows <= max(cell.rows for cell in cells) and length <= max(cell.length for cell in cells)
    expected = make_profile(cells).seconds("a", rows, length)
    assert expected >= min(seconds) * (1 - 1e-9)
    assert not within or expected <= max(seconds) * (1 + 1e-9)


@given(cells=GRIDS, rows=st.integers(256, 5000), length=st.integers(512, 5000), more=st.integers(1, 5000))
def test_beyond_what_was_measured_time_grows_as_the_tokens_do(
    cells: tuple[Cell, ...], rows: int, length: int, more: int
) -> None:
    profile = make_profile(cells)
    expected = profile.seconds("a", rows, length)
    assert profile.seconds("a", rows + more, length) == pytest.approx(expected * (rows + more) / rows)
    assert profile.seconds("a", rows, length + more) == pytest.approx(expected * (length + more) / length)


def test_a_time_in_proportion_stays_so() -> None:
    cells = tuple(Cell(rows, length, rows * length * 1e-3) for rows in (1, 4, 16) for length in (8, 32))
    assert make_profile(cells).seconds("a", 7, 13) == pytest.approx(7 * 13 * 1e-3)


def test_columns_may_end_at_different_rows() -> None:
    profile = make_profile((Cell(1, 8, 1.0), Cell(64, 8, 64.0), Cell(1, 512, 100.0)))
    assert profile.seconds("a", 64, 512) == pytest.approx(6400.0)


@pytest.mark.parametrize(("rows", "length"), [(0, 8), (1, 0), (0, 0)])
@pytest.mark.filterwarnings("error")
def test_an_empty_batch_takes_no_longer_than_the_smallest(rows: int, length: int) -> None:
    assert make_profile().seconds("a", rows, length) == pytest.approx(0.5)


def test_what_was_not_measured_takes_for_ever() -> None:
    profile = replace(make_profile(), cells={"a": ()})
    assert math.isinf(profile.seconds("a", 1, 8))
    assert math.isinf(profile.seconds("b", 1, 8))


def test_a_profile_that_is_none_is_refused() -> None:
    with pytest.raises(ManifestError, match="a profile must be a JSON object"):
        Profile.from_json([])
