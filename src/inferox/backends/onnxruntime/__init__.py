"""The ONNX Runtime backend. ONNX Runtime is imported when it is first used, and PyTorch never to run a model."""

from inferox.backends.onnxruntime.backend import OnnxRuntimeBackend

__all__ = ["OnnxRuntimeBackend"]
