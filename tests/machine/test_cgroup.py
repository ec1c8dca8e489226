"""The limits of containers, read from folders that mimic Linux's."""

from pathlib import Path

import pytest

from inferox.machine.cgroup import MemoryGauge, MemoryLimit, cpu_limit, memory_limit


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    return tmp_path / "cgroup"


def member(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "membership"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_no_files_are_no_limit(tmp_path: Path, mount: Path) -> None:
    assert cpu_limit(mount, tmp_path / "missing") is None
    assert memory_limit(mount, tmp_path / "missing") is None


def test_version_2(tmp_path: Path, mount: Path) -> None:
    write(mount / "app", cpu__max="150000 100000", memory__max="1000", memory__current="400")
    here = member(tmp_path, "0::/app")
    assert cpu_limit(mount, here) == 1.5
    assert memory_limit(mount, here) == MemoryLimit(1000, 400)


def test_version_2_without_a_limit(tmp_path: Path, mount: Path) -> None:
    write(mount / "app", cpu__max="max 100000", memory__max="max", memory__current="400")
    here = member(tmp_path, "0::/app")
    assert cpu_limit(mount, here) is None
    assert memory_limit(mount, here) is None


def test_the_tightest_of_the_groups_above_holds(tmp_path: Path, mount: Path) -> None:
    write(mount / "outer" / "inner", cpu__max="400000 100000", memory__max="1000", memory__current="10")
    write(mount / "outer", cpu__max="100000 100000", memory__max="2000", memory__current="1900")
    here = member(tmp_path, "0::/outer/inner")
    assert cpu_limit(mount, here) == 1.0
    assert memory_limit(mount, here) == MemoryLimit(2000, 1900)


def test_a_container_that_sees_its_group_as_the_root(tmp_path: Path, mount: Path) -> None:
    write(mount, cpu__max="200000 100000", memory__max="5000", memory__current="1000")
    here = member(tmp_path, "0::/docker/abc")
    assert cpu_limit(mount, here) == 2.0
    assert memory_limit(mount, here) == MemoryLimit(5000, 1000)


def test_version_1(tmp_path: Path, mount: Path) -> None:
    write(mount / "cpu" / "app", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    write(mount / "memory" / "app", memory__limit_in_bytes="7000", memory__usage_in_bytes="1000")
    here = member(tmp_path, "4:cpu:/app", "5:memory:/app")
    assert cpu_limit(mount, here) == 0.5
    assert memory_limit(mount, here) == MemoryLimit(7000, 1000)


def test_version_1_without_a_limit(tmp_path: Path, mount: Path) -> None:
    write(mount / "cpu" / "app", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    write(mount / "memory" / "app", memory__limit_in_bytes=str(2**63 - 4096), memory__usage_in_bytes="1000")
    here = member(tmp_path, "4:cpu:/app", "5:memory:/app")
    assert cpu_limit(mount, here) is None
    assert memory_limit(mount, here) is None


@pytest.mark.parametrize("text", ["", "nonsense", "100000", "100000 0", "a b"])
def test_a_malformed_quota_is_not_a_limit(tmp_path: Path, mount: Path, text: str) -> None:
    write(mount / "app", cpu__max=text)
    assert cpu_limit(mount, member(tmp_path, "0::/app")) is None


@pytest.mark.parametrize(
    ("stat", "used"),
    [
        ("anon 100\nfile 300\ninactive_file 250\nactive_file 50", 150),
        ("anon 400\ninactive_file 0", 400),
        ("anon 0\ninactive_file 900", 0),  # the two files are read one after the other
        ("inactive_file", 400),
        ("inactive_file much", 400),
        ("total_inactive_file 250", 400),
    ],
)
def test_what_the_kernel_would_give_up_is_not_used(tmp_path: Path, mount: Path, stat: str, used: int) -> None:
    write(mount / "app", memory__max="1000", memory__current="400", memory__stat=stat)
    assert memory_limit(mount, member(tmp_path, "0::/app")) == MemoryLimit(1000, used)


def test_what_the_kernel_would_give_up_in_version_1(tmp_path: Path, mount: Path) -> None:
    stat = "inactive_file 1\ntotal_cache 900\ntotal_inactive_file 800"
    write(
        mount / "memory" / "app",
        memory__limit_in_bytes="7000",
        memory__usage_in_bytes="1000",
        memory__stat=stat,
    )
    assert memory_limit(mount, member(tmp_path, "5:memory:/app")) == MemoryLimit(7000, 200)


def test_a_gauge_reads_the_memory_in_use_at_every_call(tmp_path: Path, mount: Path) -> None:
    write(mount / "app", memory__max="1000", memory__current="400")
    gauge = MemoryGauge(mount, member(tmp_path, "0::/app"), clock=lambda: 0.0)
    assert gauge() == MemoryLimit(1000, 400)
    write(mount / "app", memory__current="600")
    assert gauge() == MemoryLimit(1000, 600)
    write(mount / "app", memory__max="700")
    assert gauge() == MemoryLimit(700, 600)


@pytest.mark.parametrize("lacking", ["limit", "file"])
def test_a_gauge_finds_a_limit_that_is_set_later(tmp_path: Path, mount: Path, lacking: str) -> None:
    now_s = 0.0
    here = member(tmp_path, "0::/app")
    if lacking == "limit":
        write(mount / "app", memory__max="max", memory__current="400")
    gauge = MemoryGauge(mount, here, clock=lambda: now_s)
    assert gauge() is None
    write(mount / "app", memory__max="1000", memory__current="400")
    assert gauge() is None
    now_s = 1.0
    assert gauge() == MemoryLimit(1000, 400)
    write(mount / "app", memory__max="max")
    assert gauge() is None
