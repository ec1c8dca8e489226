"""Loading artifacts, one file a format."""

from inferox.backends.torch.loaders.formats import open_artifact

__all__ = ["open_artifact"]
