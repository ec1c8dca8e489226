"""Measurements of a package: kept, read again, ignored if they say nothing, and interpolated."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import ConfigError, DeviceId, ManifestError
from inferox.loading.cell import Cell
from inferox.loading.conditions import machine_name, runtime_version
from inferox.loading.profile import Placement, Profile
from inferox.loading.profile_store import FoundProfile, device_text, find_profile, save_profile
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
    profile = Profile(DIGEST, machine_name(), 2, "default", {}, "2026-01-01T00:00:00+00:00", {"a": cells})
    return replace(profile, **changes)


@given(
    cells=st.dictionaries(NAMES, GRIDS, max_size=3),
    threads=st.integers(1, 64),
    versions=st.dictionaries(NAMES, NAMES, max_size=3),
)
def test_a_profile_reads_back(cells: dict[str, tuple[Cell, ...]], threads: int, versions: dict[str, str]) -> None:
    profile = replace(make_profile(), cells=cells, threads=threads, device="cuda:1", versions=versions)
    placements = {name: Placement(device, is_default=device > name) for name, device in versions.items()}
    profile = replace(profile, placements=placements)
    assert Profile.from_json(json.loads(json.dumps(profile.to_json()))) == profile


def test_what_is_kept_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert find_profile(DIGEST, store, 2) == find_profile("cd" * 32, store, 2) == FoundProfile(None)
    save_profile(make_profile(created_at="before"), store)
    path = save_profile(make_profile(), store)
    assert find_profile(DIGEST, store, 2) == FoundProfile(make_profile())
    assert find_profile("cd" * 32, store, 2) == FoundProfile(None)
    assert list(path.parent.iterdir()) == [path]


def test_each_thread_budget_and_device_has_its_own(tmp_path: Path) -> None:
    store, gpu = Store(tmp_path), DeviceId.parse("cuda:1")
    kept = [make_profile(threads=threads, device=device_text(device)) for threads in (1, 2) for device in (None, gpu)]
    paths = {save_profile(profile, store) for profile in kept}
    assert len(paths) == 4
    found = [find_profile(DIGEST, store, threads, device) for threads in (1, 2) for device in (None, gpu)]
    assert found == [FoundProfile(profile) for profile in kept]


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
        change(device=None),
        change(versions=[]),
        change(cells=[]),
        change(cells={"a": 1}),
        change(cells={"a": [[1, 8, 1.0]]}),
        change(cells={"a": [[1, 8, "fast", 8, 64]]}),
        change(cells={"a": [[0, 8, 1.0, 8, 64]]}),
        change(cells={"a": [[1, 0, 1.0, 8, 64]]}),
        change(cells={"a": [[1, 8, 0.0, 8, 64]]}),
        change(cells={"a": [[1, 8, math.nan, 8, 64]]}),
        change(cells={"a": [[1, 8, math.inf, 8, 64]]}),
        change(cells={"a": [[math.inf, 8, 1.0, 8, 64]]}),
        change(cells={"a": [[1, 8, 1.0, 0, 64]]}),
        change(cells={"a": [[2, 8, 1.0, 1.5, 64]]}),
        change(cells={"a": [[2, 8, 1.0, 16, 0]]}),
        change(placements=None),
        change(placements={"a": "cpu"}),
        change(placements={"a": ["cpu"]}),
        change(placements={"a": ["cpu", 1]}),
        change(placements={"a": [None, True]}),
        change(rounds=None),
        change(rounds={"a": -1}),
        change(rounds={"a": "5"}),
    ],
)
def test_a_file_that_was_damaged_is_ignored_and_named(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    store = Store(tmp_path)
    path = save_profile(make_profile(), store)
    spoil(path)
    found = find_profile(DIGEST, store, 2)
    assert found.profile is None
    assert str(found.ignored).startswith(f"{path} cannot be read: ")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"machine": "another"}, "on another machine"),
        ({"threads": 3}, "with 3 threads"),
        ({"threads": 1}, "with 1 thread"),
        ({"device": "cuda:1"}, "on the device cuda:1"),
        ({"machine": "another", "threads": 3}, "on another machine and with 3 threads"),
    ],
)
def test_a_profile_of_other_conditions_is_ignored_and_named(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    store = Store(tmp_path)
    save_profile(make_profile(machine="a third", threads=5, device="cuda:7"), store)  # more differs with this one
    path = save_profile(make_profile(**changes), store)
    (path.parent / "damaged.json").write_text("{")
    assert find_profile(DIGEST, store, 2) == FoundProfile(None, f"it was measured {reason}")


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("nearer", "farther", "reason"),
    [
        ({"threads": 3}, {"threads": 1 << 9}, "with 3 threads"),
        ({"threads": 9}, {"device": "cuda:1"}, "with 9 threads"),
        ({"threads": 9}, {"machine": "another"}, "with 9 threads"),
        ({"device": "cuda:1"}, {"machine": "another"}, "on the device cuda:1"),
        ({"device": "cuda:1", "threads": 9}, {"machine": "a", "threads": 3}, "with 9 threads and on the device cuda:1"),
        ({"threads": 1, "created_at": "2026-03-01"}, {"threads": 3}, "with 1 thread"),
        ({"threads": 3}, {"threads": 1, "created_at": "no date"}, "with 3 threads"),
    ],
)
def test_the_nearest_profile_is_named_whatever_its_file_is_called(
    tmp_path: Path, nearer: dict[str, Any], farther: dict[str, Any], reason: str, order: int
) -> None:
    store = Store(tmp_path)
    paths = [save_profile(make_profile(**changes), store) for changes in (nearer, farther)]
    for path, name in zip(paths, ("a.json", "b.json")[::order], strict=True):
        path.rename(path.with_name(name))
    assert find_profile(DIGEST, store, 2) == FoundProfile(None, f"it was measured {reason}")


CPU, GPU = Placement("cpu", is_default=True), Placement("cuda:0", is_default=True)
FORCED = Placement("cpu", is_default=False)
"""PyTorch on the CPU of a machine with a GPU."""


@pytest.mark.parametrize(
    ("measured_on", "placements", "wanted", "holds"),
    [
        ("default", {"openvino/a": CPU, "torch/a": CPU}, "cpu", {"openvino/a", "torch/a"}),
        ("default", {"openvino/a": CPU, "torch/a": GPU}, "cpu", {"openvino/a"}),
        ("default", {"openvino/a": CPU, "torch/a": GPU}, "cuda:0", {"torch/a"}),
        ("default", {"openvino/a": CPU, "torch/a": GPU}, "cuda:1", set()),
        ("cpu", {"openvino/a": CPU, "torch/a": CPU}, None, {"openvino/a", "torch/a"}),
        ("cpu", {"openvino/a": CPU, "torch/a": FORCED}, None, {"openvino/a"}),
        ("cuda:0", {"torch/a": GPU}, None, {"torch/a"}),
        ("cuda:0", {"torch/a": GPU}, "cpu", set()),
        ("default", {}, "cpu", set()),
    ],
)
def test_a_device_is_the_same_by_default_and_by_name(
    tmp_path: Path, measured_on: str, placements: dict[str, Placement], wanted: str | None, holds: set[str]
) -> None:
    store, cells = Store(tmp_path), (Cell(1, 8, 0.5),)
    measured = make_profile(device=measured_on, placements=placements)
    save_profile(replace(measured, cells=dict.fromkeys(placements, cells)), store)
    found = find_profile(DIGEST, store, 2, DeviceId.of(wanted))
    if holds:
        assert found.profile is not None
        assert set(found.profile.cells) == set(found.profile.placements) == holds
        assert found.ignored is None
    else:
        where = "each runtime's default device" if measured_on == "default" else f"the device {measured_on}"
        assert found == FoundProfile(None, f"it was measured on {where}")


def test_measurements_under_the_requested_name_come_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = [make_profile(device=device, placements={"a": CPU}) for device in ("default", "cpu")]
    for profile in kept:
        save_profile(profile, store)
    assert [find_profile(DIGEST, store, 2, device) for device in (None, DeviceId.cpu())] == [
        FoundProfile(profile) for profile in kept
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"machine": "another"}, "on another machine"),
        ({"digest": "cd" * 32}, "for another package"),
        ({"threads": 3}, "with 3 threads"),
    ],
)
def test_a_profile_in_the_wrong_place_is_ignored_and_named(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    store = Store(tmp_path)
    save_profile(make_profile(**changes), store).replace(save_profile(make_profile(), store))
    assert find_profile(DIGEST, store, 2) == FoundProfile(None, f"it was measured {reason}")


def test_the_times_of_a_runtime_that_was_upgraded_are_left_out_and_named(tmp_path: Path) -> None:
    store, cells = Store(tmp_path), (Cell(1, 8, 0.5),)
    now = {name: runtime_version(name) for name in ("torch", "onnxruntime")}
    kept = replace(make_profile(versions=now), cells={"torch/a/fp32/padded": cells, "onnxruntime/a/fp32/padded": cells})
    save_profile(kept, store)
    assert find_profile(DIGEST, store, 2) == FoundProfile(kept)

    save_profile(replace(kept, versions={**now, "torch": "0.1"}), store)
    found = find_profile(DIGEST, store, 2)
    assert found.profile is not None
    assert set(found.profile.cells) == {"onnxruntime/a/fp32/padded"}
    assert found.profile.versions == {"onnxruntime": now["onnxruntime"]}
    reason = f"it was measured with torch 0.1, and now {now['torch']} is installed"
    assert found.ignored == reason

    save_profile(replace(kept, versions={"torch": "0.1", "onnxruntime": "0.2"}), store)
    found = find_profile(DIGEST, store, 2)
    assert found.profile is None
    assert str(found.ignored).startswith(f"{reason}; with onnxruntime 0.2, and now ")


def test_the_version_of_a_runtime_is_that_of_the_distribution_that_brings_it() -> None:
    assert runtime_version("torch") == version("torch")  # torch.__version__ also says for which CUDA it was built
    assert runtime_version("candle") == version("candle-nn")
    assert runtime_version("PIL") == version("pillow")
    assert runtime_version("no_such_runtime") == "none"


def test_machines_differ_in_what_their_processors_can_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def describe(text: str) -> str:
        (tmp_path / "cpuinfo").write_text(text)
        return machine_name()

    monkeypatch.setattr("inferox.machine.processor._CPU_INFO", tmp_path / "cpuinfo")
    old = describe("model name : Xeon\nflags : sse avx2\n")
    assert describe("model name : Xeon\nflags : sse avx2\n") == old
    assert describe("model name : Xeon\nflags : sse avx2 avx512f\n") != old
    assert describe("model name : Epyc\nflags : sse avx2\n") != old
    assert describe("Features : fp asimd\n") != describe("Features : fp asimd sve\n")  # as ARM reports it


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "profiles").write_text("no folder")
    with pytest.raises(ConfigError, match="the profile cannot be written to"):
        save_profile(make_profile(), Store(tmp_path))


def test_nothing_is_left_of_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    path = save_profile(make_profile(), store)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ConfigError, match="No space left"):
        save_profile(make_profile(created_at="later"), store)
    assert list(path.parent.iterdir()) == [path]
    assert find_profile(DIGEST, store, 2).profile == make_profile()


@given(cells=GRIDS)
def test_what_was_measured_is_what_is_expected(cells: tuple[Cell, ...]) -> None:
    profile = make_profile(cells)
    for cell in cells:
        assert profile.seconds("a", cell.rows, cell.length) == pytest.approx(cell.seconds, rel=1e-9)


@given(cells=GRIDS, rows=st.integers(1, 256), length=st.integers(1, 512))
def test_interpolated_times_are_in_between(cells: tuple[Cell, ...], rows: int, length: int) -> None:
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


def test_unmeasured_artifacts_take_forever() -> None:
    profile = replace(make_profile(), cells={"a": ()})
    assert math.isinf(profile.seconds("a", 1, 8))
    assert math.isinf(profile.seconds("b", 1, 8))


def test_one_that_failed_at_a_length_is_not_expected_to_compute_longer_ones() -> None:
    failing, other = (Cell(1, 8, 1.0), Cell(4, 8, 2.0)), (Cell(1, 8, 1.0), Cell(1, 128, 4.0))
    profile = replace(make_profile(), cells={"failing": failing, "other": other})
    assert [profile.seconds("failing", 2, length) < math.inf for length in (4, 8, 9, 128, 256)] == [
        True,
        True,
        *[False] * 3,
    ]
    assert all(profile.seconds("other", 2, length) < math.inf for length in (4, 8, 9, 128, 256))


def test_a_profile_that_is_none_is_refused() -> None:
    with pytest.raises(ManifestError, match="a profile must be a JSON object"):
        Profile.from_json([])


FRESH = {name: runtime_version(name) for name in ("torch", "onnxruntime")}
STALE = {"torch": "0.1", "onnxruntime": "0.2"}
MEASURED = dict.fromkeys(("torch/a/fp32/padded", "onnxruntime/a/fp32/padded"), (Cell(1, 8, 0.5),))


@pytest.mark.parametrize(("own", "other"), [("cpu", "default"), ("default", "cpu")])
@pytest.mark.parametrize("versions", [STALE, {**FRESH, "torch": "0.1"}, None], ids=["stale", "partly stale", "damaged"])
def test_one_that_says_less_hides_no_other_that_applies(
    tmp_path: Path, own: str, other: str, versions: dict[str, str] | None
) -> None:
    """Neither by its name nor by its date."""
    store, wanted = Store(tmp_path), None if own == "default" else DeviceId.parse(own)
    kept = replace(make_profile(versions=FRESH, placements=dict.fromkeys(MEASURED, CPU)), cells=MEASURED, device=other)
    save_profile(kept, store)
    path = save_profile(replace(kept, device=own, versions=versions or {}, created_at="2026-09-01"), store)
    if versions is None:
        path.write_text("{")
    found = find_profile(DIGEST, store, 2, wanted)
    assert found.profile == replace(kept, device=own)
    assert (f"{path} cannot be read" in (found.ignored or "")) is (versions is None)


def test_the_one_with_the_most_artifacts_decides(tmp_path: Path) -> None:
    """A later one of the default device that has some on the CPU does not hide one of the CPU that has all there."""
    store = Store(tmp_path)
    own = replace(
        make_profile(device="cpu", placements=dict.fromkeys(MEASURED, FORCED), versions=FRESH), cells=MEASURED
    )
    some = {"torch/a/fp32/padded": GPU, "onnxruntime/a/fp32/padded": CPU}
    for profile in (own, replace(own, device="default", placements=some, created_at="2026-09-01")):
        save_profile(profile, store)
    assert find_profile(DIGEST, store, 2, DeviceId.cpu()) == FoundProfile(own)
    only_stale = replace(own, versions=STALE)
    save_profile(only_stale, store)
    found = find_profile(DIGEST, store, 2, DeviceId.cpu()).profile
    assert found is not None
    assert list(found.cells) == ["onnxruntime/a/fp32/padded"]
