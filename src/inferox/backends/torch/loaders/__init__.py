"""Loading artifacts, one file a format."""

from inferox.backends.torch.loaders.open import open_artifact

__all__ = ["open_artifact"]
