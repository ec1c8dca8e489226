"""The common part of backends that read ONNX graphs, at pack time: writing a graph that holds no weights."""
