"""One file for a package: a zip whose members are stored as they are, each beginning at a multiple of 64 bytes."""

from __future__ import annotations

import shutil
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from inferox.core import IntegrityError, UnsafePathError

ARCHIVE_SUFFIX = ".mlpkg"

ALIGNMENT_BYTES = 64
"""Where members begin: at multiples of what a cache line and the widest vector instructions read."""

_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_PADDING_FIELD = 0xD935
"""The extra field that Android's zipalign uses for padding."""

_FIELD_HEADER_BYTES = 4
_MAX_MEMBERS = 10_000
_MAX_PATH_BYTES = 1024
_COPY_BYTES = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ENCRYPTED = 0x1
_WINDOWS_RESERVED = '<>:"|?*'


def write_archive(folder: Path, archive: Path) -> None:
    """Writes all files of a folder into one file. The same files give the same bytes.

    Args:
        folder: The folder.
        archive: The file to write.
    """
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    with archive.open("wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as bundle:
        for name in files:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            size = (folder / name).stat().st_size
            info.file_size = size
            info.extra = _padding(stream.tell(), name, size)
            with (folder / name).open("rb") as source, bundle.open(info, "w") as target:
                shutil.copyfileobj(source, target, _COPY_BYTES)


def _padding(offset: int, name: str, size: int) -> bytes:
    """An extra field that makes the data behind a local header begin at a multiple of the alignment."""
    zip64 = 20 if size * 1.05 > zipfile.ZIP64_LIMIT else 0
    begin = offset + _LOCAL_HEADER.size + len(name.encode()) + zip64 + _FIELD_HEADER_BYTES
    fill = -begin % ALIGNMENT_BYTES
    return struct.pack("<HH", _PADDING_FIELD, fill) + bytes(fill)


def extract_archive(archive: Path, folder: Path) -> None:
    """Unpacks an archive, which is taken to be hostile, into an empty folder.

    Nothing is written before every member has been checked.

    Args:
        archive: The file.
        folder: An empty folder.

    Raises:
        UnsafePathError: If a member would lie outside the folder, is a link or a special file, stands twice, or lies
            about its size, its name or its place.
        IntegrityError: If the file is no zip, is truncated, has a member with a wrong checksum, or does not fit the
            disk.
    """
    try:
        with zipfile.ZipFile(archive) as bundle:
            members = bundle.infolist()
            _check_names(members)
            _check_places(archive, members)
            _check_space(members, folder)
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with bundle.open(member) as source, target.open("xb") as stream:
                    shutil.copyfileobj(source, stream, _COPY_BYTES)
    except (zipfile.BadZipFile, EOFError, struct.error, NotImplementedError, ValueError) as error:
        raise IntegrityError(
            f"{archive} is no package, or a truncated or damaged one: {error}", hint="fetch it again"
        ) from error


def check_member_path(path: str) -> None:
    """Refuses a path that could mean anything but one file below the package, on any system.

    Args:
        path: A path of an archive or a manifest.

    Raises:
        UnsafePathError: If it is empty, absolute, climbs, has a backslash, a drive letter or a control character, or is
            too long.
    """
    parts = path.split("/")
    bad = (
        not path
        or len(path.encode("utf-8", "surrogatepass")) > _MAX_PATH_BYTES
        or any(part in {"", ".", ".."} or part != part.rstrip(" .") for part in parts)
        or any(character in _WINDOWS_RESERVED or character == "\\" or not character.isprintable() for character in path)
        or PurePosixPath(path).is_absolute()
    )
    if bad:
        shown = path if len(path) <= 80 else path[:79] + "…"  # noqa: PLR2004 - enough to find it by
        raise UnsafePathError(f"{shown!r} is no plain path below the package")


def check_distinct(paths: Iterable[str]) -> None:
    """Refuses paths that are one file on a system that ignores case or Unicode's normal forms, or a file and a folder.

    Args:
        paths: Paths that are each plain.

    Raises:
        UnsafePathError: If two collide.
    """
    seen: dict[str, str] = {}
    folders: set[str] = set()
    for path in paths:
        key = unicodedata.normalize("NFC", path).casefold()
        if key in seen:
            raise UnsafePathError(f"{path!r} and {seen[key]!r} are one file on some systems")
        seen[key] = path
        folders.update(str(parent) for parent in PurePosixPath(key).parents)
    for key, path in seen.items():
        if key in folders:
            raise UnsafePathError(f"{path!r} is a file and a folder")


def _check_names(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > _MAX_MEMBERS:
        raise UnsafePathError(f"the archive has {len(members)} members, and a package {_MAX_MEMBERS} at most")
    for member in members:
        # ZipInfo cuts a name at a NUL byte and turns the system's separator; what came stands in orig_filename.
        check_member_path(member.orig_filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if member.is_dir() or kind not in {0, stat.S_IFREG}:
            raise UnsafePathError(f"{member.filename!r} is no regular file, such as a link, a folder or a device")
        if member.flag_bits & _ENCRYPTED:
            raise UnsafePathError(f"{member.filename!r} is encrypted")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise UnsafePathError(f"{member.filename!r} is compressed, and packages store files as they are")
    check_distinct(member.filename for member in members)


def _check_places(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    """Checks that each member has bytes of its own, inside the file, behind a header that says the same."""
    size = archive.stat().st_size
    end = 0
    with archive.open("rb") as stream:
        for member in sorted(members, key=lambda item: item.header_offset):
            stream.seek(member.header_offset)
            fields = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
            signature, flags, method, name_bytes, extra_bytes = fields[0], fields[2], fields[3], fields[9], fields[10]
            name = stream.read(name_bytes).decode("utf-8" if flags & 0x800 else "cp437")
            begin = member.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
            honest = (
                signature == _LOCAL_SIGNATURE
                and name == member.orig_filename
                and method == member.compress_type
                and member.header_offset >= end
                and begin + member.file_size <= size
            )
            if not honest:
                raise UnsafePathError(f"the archive lies about the place, the size or the name of {member.filename!r}")
            end = begin + member.file_size


def _check_space(members: list[zipfile.ZipInfo], folder: Path) -> None:
    needed, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
    if needed > free:
        raise IntegrityError(
            f"unpacking needs {needed:,} bytes below {folder}, and {free:,} are free",
            hint="free some space, or move the store with INFEROX_STORE",
        )
