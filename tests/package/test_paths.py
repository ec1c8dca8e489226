"""Paths: those of one plain file below the package on every system, and all others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import UnsafePathError
from inferox.package import paths
from inferox.package.paths import check_distinct, check_member_path, list_files


@pytest.mark.parametrize(
    "path",
    [
        "a",
        ".hidden",
        "weights/model.safetensors",
        "a/b/c/d",
        "two words.txt",
        "..a",
        "é/ü.json",
        "консоль.json",
        "console.json",
        "x" * 255,
    ],
)
def test_plain_paths(path: str) -> None:
    check_member_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/..",
        "../a",
        "a\\b",
        "C:a",
        "a\0b",
        "a\nb",
        "a\x7f",
        "a\u202eb",
        "\ud800",
        "a.",
        "a /b",
        "a?b",
        "nul",
        "NUL.txt",
        "weights/Aux.json",
        "com1 .safetensors",
        "x" * 256,
        "é" * 128,
        "a/" * 600 + "a",
    ],
)
def test_paths_that_are_not_plain(path: str) -> None:
    with pytest.raises(UnsafePathError, match="is not a plain path below the package"):
        check_member_path(path)


def test_a_long_path_is_shown_by_its_beginning() -> None:
    with pytest.raises(UnsafePathError) as caught:
        check_member_path("x" * 100_000)
    assert len(str(caught.value)) < 200


@given(st.text(max_size=30))
def test_whatever_passes_stays_below(path: str) -> None:
    try:
        check_member_path(path)
    except UnsafePathError:
        return
    assert os.path.normpath(os.path.join("/root", path)) == f"/root/{path}"  # noqa: PTH118 - text, not the disk
    assert path.encode().decode() == path


@pytest.mark.parametrize(
    ("one", "other", "text"),
    [
        ("a", "a", "one file"),
        ("a", "A", "one file"),
        ("straße", "STRASSE", "one file"),
        ("caf\u00e9", "cafe\u0301", "one file"),
        ("a", "a/b", "a file and a folder"),
        ("A", "a/b", "a file and a folder"),
        ("a/x", "A/y", "one folder"),
        ("caf\u00e9/x", "cafe\u0301/y", "one folder"),
    ],
)
def test_paths_that_collide(one: str, other: str, text: str) -> None:
    for pair in ((one, other), (other, one)):
        with pytest.raises(UnsafePathError, match=text):
            check_distinct(pair)


def test_paths_that_do_not_collide() -> None:
    check_distinct(["a", "b", "folder/a", "folder/b", "folder/more/a", "folders/a"])


def test_files_are_listed_in_order(tmp_path: Path) -> None:
    for name in ("b", "a/z", "a.txt", ".hidden", "a/b/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "empty").mkdir()
    assert list_files(tmp_path) == (".hidden", "a.txt", "a/b/c", "a/z", "b")


SPECIAL: dict[str, Callable[[Path], None]] = {
    "a link to a file": lambda path: path.symlink_to("/etc/passwd"),
    "a link to a folder": lambda path: path.symlink_to("/etc", target_is_directory=True),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a pipe": os.mkfifo,
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_links_and_special_files_are_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "deep").mkdir()
    SPECIAL[kind](tmp_path / "deep" / "x")
    with pytest.raises(UnsafePathError, match="'deep/x' is a link or a special file"):
        list_files(tmp_path)


def test_more_files_than_a_package_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "MAX_FILES", 3)
    for name in "abc":
        (tmp_path / name).write_bytes(b"")
    assert len(list_files(tmp_path)) == 3
    (tmp_path / "folder").mkdir()
    with pytest.raises(UnsafePathError, match="more files than the 3"):
        list_files(tmp_path)
