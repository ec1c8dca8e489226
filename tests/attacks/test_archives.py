"""Hostile archives: every trick is refused, and nothing is written outside the store."""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from inferox.core import IntegrityError, PackageError, UnsafePathError
from inferox.package import open_package
from inferox.package.archive import _check_names as check_members
from tests.package.packages import write_package

Members = list[tuple[zipfile.ZipInfo, bytes]]


def member(name: str, content: bytes = b"x", *, mode: int = stat.S_IFREG | 0o644) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info, content


def make_zip(path: Path, members: Members, *, compression: int = zipfile.ZIP_STORED) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as bundle:
        warnings.simplefilter("ignore")
        for info, content in members:
            info.compress_type = compression
            bundle.writestr(info, content)
    return path


def opens(path: Path) -> None:
    """Opens an archive, and checks that nothing was written beside it or above the store, whether it opens or not."""
    store = Path(os.environ["INFEROX_STORE"])
    before = {item: item.stat().st_mtime_ns for item in path.parent.rglob("*")}
    try:
        open_package(path)
    finally:
        assert {item: item.stat().st_mtime_ns for item in path.parent.rglob("*")} == before
        assert list(store.parents[1].rglob("*inferox-escaped*")) == []


@pytest.mark.parametrize(
    "name",
    [
        "{outside}/inferox-escaped",
        "../inferox-escaped",
        "a/../../inferox-escaped",
        "a/./b",
        "./a",
        "a//b",
        "..\\inferox-escaped",
        "a\\b",
        "C:\\inferox-escaped",
        "C:/inferox-escaped",
        "c:evil",
        "a:stream",
        "folder/",
        "trailing.",
        "trailing ",
        "new\nline",
        "bell\x07",
        "star*",
        "right\u202eleft",
        "x" * 2000,
    ],
)
def test_names_that_are_no_plain_path_below(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsafePathError):
        opens(make_zip(tmp_path / "x.mlpkg", [member("metadata.json"), member(name.format(outside=tmp_path))]))


def test_a_name_that_is_cut_at_a_nul(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.mlpkg", [member("metadata.jsonZ.png")])
    path.write_bytes(path.read_bytes().replace(b"metadata.jsonZ.png", b"metadata.json\x00.png"))
    with pytest.raises(UnsafePathError):
        opens(path)


@pytest.mark.parametrize(
    "names",
    [
        ["metadata.json", "metadata.json"],
        ["metadata.json", "Metadata.JSON"],
        ["caf\u00e9", "cafe\u0301"],
        ["weights", "weights/model.safetensors"],
        ["Weights", "weights/model.safetensors"],
    ],
)
def test_names_that_collide(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(UnsafePathError):
        opens(make_zip(tmp_path / "x.mlpkg", [member(name) for name in names]))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_special_files(tmp_path: Path, kind: int) -> None:
    with pytest.raises(UnsafePathError, match="must be a regular file"):
        opens(make_zip(tmp_path / "x.mlpkg", [member("a", b"/etc/passwd", mode=kind | 0o777)]))


def test_a_bomb(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.mlpkg", [member("a", bytes(50_000_000))], compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(UnsafePathError, match="compressed"):
        opens(path)


def test_too_many_members(tmp_path: Path) -> None:
    with pytest.raises(UnsafePathError, match="10001 members"):
        opens(make_zip(tmp_path / "x.mlpkg", [member(str(index)) for index in range(10_001)]))


def patched(change: Callable[[bytearray, int, int], None]) -> Callable[[Path], None]:
    """An attack that changes a good package's bytes, given the offsets of its first local and central headers."""

    def attack(path: Path) -> None:
        content = bytearray(path.read_bytes())
        change(content, content.index(b"PK\x03\x04"), content.index(b"PK\x01\x02"))
        path.write_bytes(content)

    return attack


def put(content: bytearray, offset: int, form: str, value: int) -> None:
    struct.pack_into(form, content, offset, value)


def resize(content: bytearray, header: int, size: int) -> None:
    """Writes new sizes into a local header or one of the directory."""
    begin = header + (20 if content[header : header + 4] == b"PK\x01\x02" else 18)
    put(content, begin, "<I", size)
    put(content, begin + 4, "<I", size)


PATCHES: dict[str, Callable[[bytearray, int, int], None]] = {
    "encrypted": lambda c, _, central: put(c, central + 8, "<H", 1),
    "larger than it is": lambda c, _, central: resize(c, central, 9_999_999),
    "beyond the end": lambda c, _, central: resize(c, central, 0x7FFFFFFF),
    "stored and decompressed sizes differ": lambda c, _, central: put(c, central + 24, "<I", 3),
    "another name behind": lambda c, local, _: c.__setitem__(local + 30, ord("X")),
    "another method behind": lambda c, local, _: put(c, local + 8, "<H", 8),
    "no header there": lambda c, local, _: c.__setitem__(local, 0),
    "another size behind": lambda c, local, _: put(c, local + 22, "<I", 3),
    "another stored size behind": lambda c, local, _: put(c, local + 18, "<I", 3),
    "sizes elsewhere": lambda c, local, _: resize(c, local, 0xFFFFFFFF),
    "another checksum behind": lambda c, local, _: put(c, local + 14, "<I", 3),
    "a wrong checksum": lambda c, _, central: put(c, central + 16, "<I", 12345),
    "overlapping": lambda c, _, central: put(c, c.index(b"PK\x01\x02", central + 4) + 42, "<I", 0),
    "an impossible method": lambda c, _, central: put(c, central + 10, "<H", 77),
    "a patch format": lambda c, _, central: put(c, central + 6, "<H", 999),
}


@pytest.mark.parametrize("lie", PATCHES)
def test_archives_that_lie(tmp_path: Path, lie: str) -> None:
    path = write_package(tmp_path / "x.mlpkg")
    patched(PATCHES[lie])(path)
    with pytest.raises((UnsafePathError, IntegrityError)):
        opens(path)


def test_a_member_inside_another(tmp_path: Path) -> None:
    """The two headers of each member agree, and the last byte of the outer one is where the directory begins."""
    inner = make_zip(tmp_path / "inner", [member("b", b"payload")]).read_bytes()
    end = inner.index(b"PK\x01\x02")
    outer = make_zip(tmp_path / "outer", [member("a", inner[:end])]).read_bytes()
    directory = outer.rindex(b"PK\x01\x02")
    entries = bytearray(outer[directory:-22] + inner[end:-22])
    put(entries, len(outer) - 22 - directory + 42, "<I", directory - end)
    closing = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 2, 2, len(entries), directory, 0)
    path = tmp_path / "x.mlpkg"
    path.write_bytes(outer[:directory] + entries + closing)
    with zipfile.ZipFile(path) as bundle:
        assert bundle.namelist() == ["a", "b"]
    with pytest.raises(UnsafePathError, match="misstates the place, the size or the name of 'b'"):
        opens(path)


def test_an_encrypted_member_is_called_that(tmp_path: Path) -> None:
    path = write_package(tmp_path / "x.mlpkg")
    patched(PATCHES["encrypted"])(path)
    with pytest.raises(UnsafePathError, match="is encrypted"):
        opens(path)


def test_a_member_that_covers_the_next_one(tmp_path: Path) -> None:
    """Its checksum is right: only its offset gives it away."""
    path = write_package(tmp_path / "x.mlpkg")
    with zipfile.ZipFile(path) as bundle:
        first, second = bundle.infolist()[:2]
    content = bytearray(path.read_bytes())
    name_bytes, extra_bytes = struct.unpack_from("<HH", content, first.header_offset + 26)
    begin = first.header_offset + 30 + name_bytes + extra_bytes
    size = second.header_offset + 40 - begin
    central = content.index(b"PK\x01\x02")
    resize(content, central, size)
    put(content, central + 16, "<I", zlib.crc32(content[begin : begin + size]))
    path.write_bytes(content)
    with pytest.raises(UnsafePathError, match="place"):
        opens(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + bytes(18), b"#!/bin/sh\n", bytes(1000)])
def test_files_that_are_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mlpkg"
    path.write_bytes(content)
    with pytest.raises(PackageError):
        opens(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_archives(tmp_path: Path, share: float) -> None:
    path = write_package(tmp_path / "x.mlpkg")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(IntegrityError, match="truncated or damaged"):
        opens(path)


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    """One bit of each part of an archive is flipped: it opens with the same content, or not at all."""
    content = write_package(tmp_path / "x.mlpkg").read_bytes()
    good = open_package(tmp_path / "x.mlpkg")
    for offset in range(0, len(content), max(1, len(content) // 400)):
        path = tmp_path / "y.mlpkg"
        changed = bytearray(content)
        changed[offset] ^= 0x10
        path.write_bytes(changed)
        try:
            opened = open_package(path)
        except PackageError:
            continue
        assert opened.metadata == good.metadata


def test_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_package(tmp_path / "x.mlpkg")
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(PackageError, match="10 are free"):
        opens(path)


def shifted(content: bytes, at: int, inserted: bytes) -> bytes:
    """An archive with inserted bytes, whose directory is where its end record says."""
    offset = struct.unpack_from("<I", content, len(content) - 6)[0]
    changed = bytearray(content[:at] + inserted + content[at:])
    struct.pack_into("<I", changed, len(changed) - 6, offset + len(inserted))
    return bytes(changed)


JUNK = b"#!/bin/sh\necho hello\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda content: JUNK + content,
        lambda content: content + JUNK,
        lambda content: content[:-2] + struct.pack("<H", len(JUNK)) + JUNK,
        lambda content: content[:-2] + struct.pack("<H", len(JUNK)),
        lambda content: shifted(content, 0, JUNK),
        lambda content: shifted(content, content.index(b"PK\x01\x02"), JUNK),
        lambda content: content + content,
    ],
    ids=[
        "in front",
        "behind",
        "a comment",
        "a comment that is not there",
        "in front, with places to match",
        "in between",
        "two archives",
    ],
)
def test_data_that_belongs_to_no_member(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = write_package(tmp_path / "x.mlpkg")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises((UnsafePathError, IntegrityError)):
        opens(path)


def test_a_second_name_in_a_unicode_field(tmp_path: Path) -> None:
    """Later versions of Python take a member's name from that field if its checksum matches."""
    info, content = member("harmless")
    name = b"../../inferox-escaped"
    field = struct.pack("<BL", 1, zlib.crc32(b"harmless")) + name
    info.extra = struct.pack("<HH", 0x7075, len(field)) + field
    path = make_zip(tmp_path / "x.mlpkg", [member("metadata.json"), (info, content)])
    with pytest.raises(PackageError):
        opens(path)
    with zipfile.ZipFile(path) as bundle:
        found = bundle.infolist()
    found[1].filename = name.decode()
    with pytest.raises(UnsafePathError, match="second name"):
        check_members(found)


def test_a_zip_that_was_written_as_a_stream(tmp_path: Path) -> None:
    class Stream(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    buffer = Stream()
    with zipfile.ZipFile(buffer, "w") as bundle:
        bundle.writestr("metadata.json", "{}")
    (tmp_path / "x.mlpkg").write_bytes(buffer.getvalue())
    with pytest.raises(UnsafePathError, match="zip flags that packages do not use"):
        opens(tmp_path / "x.mlpkg")


def test_a_directory_with_more_members_than_it_claims(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.mlpkg", [member(str(index)) for index in range(10_001)])
    content = bytearray(path.read_bytes())
    struct.pack_into("<HH", content, len(content) - 14, 1, 1)
    path.write_bytes(content)
    with pytest.raises(UnsafePathError, match="10001 members"):
        opens(path)


def test_a_directory_that_claims_to_be_huge(tmp_path: Path) -> None:
    path = write_package(tmp_path / "x.mlpkg")
    content = bytearray(path.read_bytes())
    struct.pack_into("<HH", content, len(content) - 14, 60_000, 60_000)
    path.write_bytes(content)
    with pytest.raises(UnsafePathError, match="60000 members"):
        opens(path)


def test_a_zip_from_another_tool_opens(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "p")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as bundle:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                bundle.write(file, file.relative_to(folder).as_posix())
    (tmp_path / "x.mlpkg").write_bytes(buffer.getvalue())
    assert open_package(tmp_path / "x.mlpkg").metadata.name == "small"
