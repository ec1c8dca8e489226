"""Sources of models. Opening one loads it as the reference of a package, and only then imports its runtime."""

from inferox.sources.open import open_source

__all__ = ["open_source"]
