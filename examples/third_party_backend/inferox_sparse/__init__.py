"""An Inferox backend for pruned perceptrons, on SciPy's sparse matrices."""

from .backend import SparseBackend

__all__ = ["SparseBackend"]
