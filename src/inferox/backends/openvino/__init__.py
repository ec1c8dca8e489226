"""The OpenVINO backend. OpenVINO is imported when it is first used, and PyTorch never to run a model."""

from inferox.backends.openvino.backend import OpenVinoBackend

__all__ = ["OpenVinoBackend"]
