"""``inferox store``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferox.package import open_package
from tests.cli.conftest import Run
from tests.package.packages import write_package


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three archives that were opened in turn, of about 1, 2 and 3 MB."""
    monkeypatch.setenv("INFEROX_STORE", str(tmp_path / "store"))
    found = [write_package(tmp_path / f"{size}.mlpkg", weights=bytes(size * 1_000_000)) for size in (1, 2, 3)]
    for archive in found:
        open_package(archive)
    return found


def test_list(run: Run, archives: list[Path]) -> None:
    held = open_package(archives[1])
    done = run("store", "list", "--json")
    assert done.code == 0, done.err
    listed = json.loads(done.out)
    assert Path(listed["root"]).name == "store"
    assert listed["limit_bytes"] == 50_000_000_000
    assert listed["size_bytes"] == sum(package["size_bytes"] for package in listed["packages"])
    assert [package["size_bytes"] // 1_000_000 for package in listed["packages"]] == [1, 3, 2]
    assert [package["in_use"] for package in listed["packages"]] == [False, False, True]
    assert {(package["name"], package["version"]) for package in listed["packages"]} == {("small", "1")}
    assert listed["packages"][2]["path"] == str(held.root)
    table = run("store", "list", "--table").out
    assert held.root.name[:12] in table
    assert [line.split()[-1] for line in table.splitlines() if line.startswith("small")] == ["no", "no", "yes"]
    assert "3 packages, 6.0 MB of 50.0 GB" in table


def test_an_empty_store(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFEROX_STORE", str(tmp_path / "none"))
    monkeypatch.setenv("INFEROX_STORE_LIMIT", "none")
    assert json.loads(run("store", "list", "--json").out)["packages"] == []
    assert "0 packages, 0 B without a limit" in run("store", "list", "--table").out
    assert json.loads(run("store", "prune", "--all", "--json").out)["removed"] == []
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("archives")
def test_prune_to_a_limit(run: Run) -> None:
    assert "would remove 2 packages, 3.0 MB" in run("store", "prune", "--limit", "3.5MB", "--dry-run", "--table").out
    dry = json.loads(run("store", "prune", "--limit", "3.5MB", "--dry-run", "--json").out)
    done = json.loads(run("store", "prune", "--limit", "3.5MB", "--json").out)
    assert (dry.pop("dry_run"), done.pop("dry_run")) == (True, False)
    assert dry == done
    assert [package["size_bytes"] // 1_000_000 for package in done["removed"]] == [1, 2]
    assert [package["size_bytes"] // 1_000_000 for package in done["kept"]] == [3]
    assert (done["limit_bytes"], done["freed_bytes"] // 1_000_000, done["size_bytes"] // 1_000_000) == (3_500_000, 3, 3)
    assert json.loads(run("store", "list", "--json").out)["packages"] == done["kept"]


@pytest.mark.usefixtures("archives")
def test_prune_to_the_stores_own_limit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(run("store", "prune").out)["removed"] == []
    monkeypatch.setenv("INFEROX_STORE_LIMIT", "5.5MB")
    table = run("store", "prune", "--table").out
    assert "removed 1 package, 1.0 MB" in table
    assert "kept 2 packages, 5.0 MB\n" in table


def test_prune_all_but_what_is_in_use(run: Run, archives: list[Path]) -> None:
    held = open_package(archives[0])
    table = run("store", "prune", "--all", "--table").out
    assert "removed 2 packages, 5.0 MB" in table
    assert "kept 1 package, 1.0 MB; 1 in use\n" in table
    assert held.artifacts[0].path("weights").is_file()


@pytest.mark.usefixtures("archives")
def test_prune_what_cannot_be_removed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "rename", refuse)
    table = run("store", "prune", "--all", "--table").out
    assert "removed 0 packages, 0 B" in table
    assert "kept 3 packages, 6.0 MB\n3 packages beyond the limit could not be removed" in table


@pytest.mark.parametrize(
    ("options", "limit", "message"),
    [
        (("--limit", "five"), "1GB", "--limit must be a size, but is 'five'"),
        (("--limit", "5GB", "--all"), "1GB", "--limit and --all cannot be combined"),
        ((), "none", "the store has no limit"),
        ((), "much", "INFEROX_STORE_LIMIT must be a size, but is 'much'"),
    ],
)
def test_wrong_usage(
    run: Run, options: tuple[str, ...], limit: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFEROX_STORE_LIMIT", limit)
    done = run("store", "prune", *options)
    assert (done.code, message in done.err) == (2, True), done.err


def test_a_store_that_cannot_be_read(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "packages").write_text("not a folder")
    monkeypatch.setenv("INFEROX_STORE", str(tmp_path))
    for command in ("list", "prune"):
        done = run("store", command)
        assert (done.code, "cannot be read" in done.err) == (2, True), done.err
