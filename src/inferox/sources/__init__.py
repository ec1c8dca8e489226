"""Where models come from: opening one loads it as the reference of a package. Imports no runtime until then."""

from inferox.sources.open import open_source

__all__ = ["open_source"]
