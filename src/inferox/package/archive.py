"""The one-file form of a package: a zip of uncompressed members, end to end; large ones are aligned to blocks."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, BinaryIO

from inferox.core import IntegrityError, PackageError, UnsafePathError, counted
from inferox.package.block_sharing import BLOCK_BYTES, share_blocks
from inferox.package.paths import MAX_FILES, check_distinct, check_member_path, list_files

ARCHIVE_SUFFIX = ".mlpkg"

_logger = logging.getLogger(__name__)

_LARGE_BYTES = 1 << 20
"""The size from which a member is aligned to a disk block, so that its unpacked copy can share its blocks."""

_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_END = struct.Struct("<4sHHHHIIH")
_END_SIGNATURE = b"PK\x05\x06"
_END64 = struct.Struct("<4sQHHIIQQQQ")
_END64_SIGNATURE = b"PK\x06\x06"
_END64_LOCATOR = struct.Struct("<4sIQI")
_END64_LOCATOR_SIGNATURE = b"PK\x06\x07"
_SIZES64 = struct.Struct("<QQ")
_SIZES64_FIELD = 0x0001
_SIZE_IS_64_BITS = 0xFFFFFFFF
_PADDING_FIELD = 0xD935
"""The extra field that Android's zipalign uses for padding."""

_FIELD_HEADER_BYTES = 4
_COPY_BYTES = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ENCRYPTED = 0x1
_UTF8 = 0x800
_MAX_DIRECTORY_BYTES = 16 << 20
_DAMAGES = (zipfile.BadZipFile, EOFError, struct.error, NotImplementedError, ValueError)
"""The errors that zipfile raises for a file that is not an archive, or is truncated or damaged."""


def write_archive(folder: Path, archive: Path) -> None:
    """Writes all files of a folder into one archive. The same files give the same bytes.

    Args:
        folder: The folder.
        archive: The file to write.

    Raises:
        UnsafePathError: If something in the folder is a link or a special file.
        OSError: If a file cannot be read, or the archive cannot be written.
    """
    with archive.open("wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as bundle:
        for name in list_files(folder):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.file_size = (folder / name).stat().st_size
            info.extra = _padding(stream.tell(), info)
            with (folder / name).open("rb") as source, bundle.open(info, "w") as target:
                shutil.copyfileobj(source, target, _COPY_BYTES)
            info.extra = b""  # the directory need not repeat it


def _padding(offset: int, info: zipfile.ZipInfo) -> bytes:
    """Makes the extra field that aligns the data behind a large member's header to a block."""
    if info.file_size < _LARGE_BYTES:
        return b""
    zip64 = 20 if info.file_size * 1.05 > zipfile.ZIP64_LIMIT else 0
    begin = offset + _LOCAL_HEADER.size + len(info.filename.encode()) + zip64 + _FIELD_HEADER_BYTES
    fill = -begin % BLOCK_BYTES
    return struct.pack("<HH", _PADDING_FIELD, fill) + bytes(fill)


def extract_archive(archive: Path, folder: Path, make_room: Callable[[int], object] | None = None) -> None:
    """Unpacks an untrusted archive into an empty folder.

    Nothing is written before every member has been checked. Only archives of the form that ``write_archive`` makes are
    unpacked: members stored end to end, with nothing in front of, between or behind them. Large members share their
    disk blocks with the archive if the file system supports it; otherwise they are copied.

    Args:
        archive: The file.
        folder: An empty folder.
        make_room: Called with the number of bytes that the disk lacks, before that becomes an error.

    Raises:
        UnsafePathError: If a member would lie outside the folder, is a link or a special file, appears twice, or
            misstates its size, its name or its place.
        IntegrityError: If the file is not a zip file, is truncated, or has a member with a wrong checksum.
        PackageError: If it does not fit on the disk.
        OSError: If the archive cannot be read, or the folder cannot be written.
    """
    try:
        # The same stream is checked and then read, so replacing the file in between changes nothing.
        with archive.open("rb") as stream:
            bundle, members = _open_checked(stream)
            shared = {member.filename: _share(stream, member, folder / member.filename) for member in members}
            _check_space(sum(member.file_size for member in members) - sum(shared.values()), folder, make_room)
            for member in members:
                _complete(stream, bundle, member, folder / member.filename, shared[member.filename])
    except _DAMAGES as error:
        raise _damaged(archive, error) from error


def _share(stream: BinaryIO, member: zipfile.ZipInfo, target: Path) -> int:
    """Makes a large member's file share the archive's blocks, except its last bytes; returns the bytes shared, or 0."""
    if member.file_size < _LARGE_BYTES:
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as copy:
        shared_bytes = share_blocks(stream, _data_offset(stream, member), member.file_size, copy)
    if not shared_bytes:
        target.unlink()
    how = "shares its blocks with the archive" if shared_bytes else "is a copy, as it cannot share the archive's blocks"
    _logger.info("%s, %s bytes, %s", member.filename, f"{member.file_size:,}", how)
    return shared_bytes


def _complete(
    stream: BinaryIO, bundle: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, shared_bytes: int
) -> None:
    """Writes the part of a member's file that is not shared with the archive, and checks the whole."""
    if not shared_bytes:
        target.parent.mkdir(parents=True, exist_ok=True)
        with bundle.open(member) as source, target.open("xb") as copy:
            shutil.copyfileobj(source, copy, _COPY_BYTES)
        return
    stream.seek(_data_offset(stream, member) + shared_bytes)
    checksum = 0
    with target.open("r+b") as copy:
        while block := copy.read(_COPY_BYTES):
            checksum = zlib.crc32(block, checksum)
        tail = stream.read(member.file_size - shared_bytes)
        copy.write(tail)
    if zlib.crc32(tail, checksum) != member.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {member.filename!r}")


def _data_offset(stream: BinaryIO, member: zipfile.ZipInfo) -> int:
    *_, name_bytes, extra_bytes = _read(stream, _LOCAL_HEADER, member.header_offset)
    return int(member.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes)


def holds_same(archive: Path, folder: Path, names: Collection[str] | None = None) -> bool:
    """Returns whether files of an archive lie in a folder with the same contents.

    Args:
        archive: The file.
        folder: The folder.
        names: The files to compare; ``None`` for all that the archive has.

    Raises:
        UnsafePathError: If the archive is hostile.
        IntegrityError: If it is damaged.
        OSError: If it cannot be read, or a file of the folder cannot.
    """
    try:
        with archive.open("rb") as stream:
            bundle, members = _open_checked(stream)
            compared = [member for member in members if names is None or member.filename in names]
            if names is not None and len(compared) < len(names):
                return False
            return all(_is_same(bundle, member, folder / member.filename) for member in compared)
    except _DAMAGES as error:
        raise _damaged(archive, error) from error


def _is_same(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != member.file_size:
        return False
    with bundle.open(member) as packed, path.open("rb") as unpacked:
        while block := packed.read(_COPY_BYTES):
            if unpacked.read(len(block)) != block:
                return False
    return True


def _open_checked(stream: BinaryIO) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    """Opens an archive once every member of it has been checked."""
    directory = _check_end(stream)
    bundle = zipfile.ZipFile(stream)
    members = bundle.infolist()
    _check_names(members)
    _check_places(stream, members, directory)
    return bundle, members


def _damaged(archive: Path, error: Exception) -> IntegrityError:
    return IntegrityError(f"{archive} is not a package, or a truncated or damaged one: {error}", hint="fetch it again")


def is_archive(path: Path) -> bool:
    """Returns whether a file begins like the archives that Inferox writes.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as stream:
        return stream.read(len(_LOCAL_SIGNATURE)) == _LOCAL_SIGNATURE


def _check_end(stream: BinaryIO) -> int:
    """Checks that the file ends with a zip's directory and nothing more, before that directory is read into memory.

    Returns:
        The offset of the directory.
    """
    end = stream.seek(0, os.SEEK_END) - _END.size
    signature, *_, count, size, offset, comment_bytes = _read(stream, _END, end)
    if signature != _END_SIGNATURE or comment_bytes:
        raise zipfile.BadZipFile("it does not end like a zip file without a comment")
    locator = end - _END64_LOCATOR.size
    if locator >= _END64.size and _read(stream, _END64_LOCATOR, locator)[0] == _END64_LOCATOR_SIGNATURE:
        end = locator - _END64.size
        signature, *_, count, size, offset = _read(stream, _END64, end)
        if signature != _END64_SIGNATURE:
            raise zipfile.BadZipFile("the end of its directory is damaged")
    if count > MAX_FILES or size > _MAX_DIRECTORY_BYTES:
        raise _too_many_members(count)
    if offset + size != end:
        raise UnsafePathError("the archive has data in front of its members or behind them")
    return int(offset)


def _too_many_members(count: int) -> UnsafePathError:
    return UnsafePathError(f"the archive has {count} members, but a package has at most {MAX_FILES}")


def _check_names(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_FILES:
        raise _too_many_members(len(members))
    for member in members:
        # The name as it was stored is in orig_filename. zipfile cuts that at a NUL byte, turns the system's separator,
        # and may put the name of a Unicode field in its place: a name that any of this changed is not to be trusted.
        check_member_path(member.orig_filename)
        if member.filename != member.orig_filename:
            raise UnsafePathError(f"{member.orig_filename!r} has a second name, {member.filename!r}")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if member.is_dir() or kind not in {0, stat.S_IFREG}:
            raise UnsafePathError(f"{member.filename!r} must be a regular file, but is a link, a folder or a device")
        if member.flag_bits & _ENCRYPTED:
            raise UnsafePathError(f"{member.filename!r} is encrypted")
        if member.flag_bits & ~_UTF8:
            raise UnsafePathError(f"{member.filename!r} has zip flags that packages do not use")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise UnsafePathError(f"{member.filename!r} is compressed, but packages store files as they are")
    check_distinct(member.filename for member in members)


def _check_places(stream: BinaryIO, members: list[zipfile.ZipInfo], directory: int) -> None:
    """Checks that the members lie end to end in front of the directory, each behind a header that agrees with it."""
    end = 0
    for member in sorted(members, key=lambda item: item.header_offset):
        if member.header_offset != end or not _has_honest_header(stream, member):
            raise UnsafePathError(f"the archive misstates the place, the size or the name of {member.filename!r}")
        end = stream.tell() + member.file_size
    if end != directory:
        raise UnsafePathError("the archive has data that belongs to no member")


def _has_honest_header(stream: BinaryIO, member: zipfile.ZipInfo) -> bool:
    """Returns whether a member's own header agrees with the directory. Leaves the stream at the member's data."""
    fields = _read(stream, _LOCAL_HEADER, member.header_offset)
    signature, _, flags, method, _, _, checksum, stored_bytes, size, name_bytes, extra_bytes = fields
    name = stream.read(name_bytes).decode("utf-8" if flags & _UTF8 else "cp437")
    extra = stream.read(extra_bytes)
    if stored_bytes == size == _SIZE_IS_64_BITS:
        size, stored_bytes = _sizes_of_64_bits(extra)
    return (
        signature == _LOCAL_SIGNATURE
        and (flags, method, checksum) == (member.flag_bits, member.compress_type, member.CRC)
        and (name, size, stored_bytes) == (member.orig_filename, member.file_size, member.compress_size)
    )


def _sizes_of_64_bits(extra: bytes) -> tuple[int, ...]:
    """Reads the size and the stored size from a header's extra fields; empty if they are not among them."""
    while len(extra) >= _FIELD_HEADER_BYTES:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == _SIZES64_FIELD:
            return _SIZES64.unpack_from(extra, _FIELD_HEADER_BYTES)
        extra = extra[_FIELD_HEADER_BYTES + length :]
    raise zipfile.BadZipFile("a header lacks the sizes that it refers to")


def _read(stream: BinaryIO, form: struct.Struct, offset: int) -> tuple[Any, ...]:
    if offset < 0:
        raise zipfile.BadZipFile("it is shorter than any zip")
    stream.seek(offset)
    return form.unpack(stream.read(form.size))


def _check_space(needed: int, folder: Path, make_room: Callable[[int], object] | None) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free and make_room is not None:
        make_room(needed - free)
        free = shutil.disk_usage(folder).free
    if needed > free:
        raise PackageError(
            f"unpacking needs {counted(needed, 'byte')} below {folder}, but {free:,} are free",
            hint="free some space, for example with 'inferox store prune --all', or move the store with INFEROX_STORE",
        )
