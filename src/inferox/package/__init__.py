"""What lies on disk: writing, reading and verifying packages."""

from inferox.package.archive import ARCHIVE_SUFFIX
from inferox.package.manifest import FORMAT_VERSION, FileEntry, Metadata, ModelInfo, read_json
from inferox.package.reader import Package, open_package
from inferox.package.store import Store, write_json
from inferox.package.writer import PackageWriter

__all__ = [
    "ARCHIVE_SUFFIX",
    "FORMAT_VERSION",
    "FileEntry",
    "Metadata",
    "ModelInfo",
    "Package",
    "PackageWriter",
    "Store",
    "open_package",
    "read_json",
    "write_json",
]
