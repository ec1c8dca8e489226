"""Packing: from a source to a package, with evidence that it is correct."""

from inferox.packing.packing import PackReport, pack

__all__ = ["PackReport", "pack"]
