"""Loading artifacts, one file per format."""

from inferox.backends.torch.loaders.formats import open_artifact

__all__ = ["open_artifact"]
