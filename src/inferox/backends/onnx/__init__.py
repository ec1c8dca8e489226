"""The common part of backends that read ONNX graphs: at pack time, writing graphs without weights."""
