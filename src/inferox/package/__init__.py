"""Packages on disk: writing, reading and verifying them."""

from inferox.package.archive import ARCHIVE_SUFFIX
from inferox.package.embedding_space import embedding_space
from inferox.package.manifest import FORMAT_VERSION, FileEntry, Metadata, ModelInfo, read_json
from inferox.package.reader import Package, open_package, read_package_path
from inferox.package.store import Store, write_json
from inferox.package.store_limit import parse_size
from inferox.package.stored_package import StoredPackage
from inferox.package.unpacked_packages import Pruning
from inferox.package.writer import PackageWriter

__all__ = [
    "ARCHIVE_SUFFIX",
    "FORMAT_VERSION",
    "FileEntry",
    "Metadata",
    "ModelInfo",
    "Package",
    "PackageWriter",
    "Pruning",
    "Store",
    "StoredPackage",
    "embedding_space",
    "open_package",
    "parse_size",
    "read_json",
    "read_package_path",
    "write_json",
]
