"""Packing: from a source to a package, with the evidence that it is right."""

from inferox.packing.packing import PackReport, pack

__all__ = ["PackReport", "pack"]
