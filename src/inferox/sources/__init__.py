"""Sources: where models come from. Opening one loads it as the reference of a package, and only then its runtime."""

from inferox.sources.open import open_source

__all__ = ["open_source"]
