"""What backends that read ONNX graphs have in common at pack time: writing a graph that holds no weights."""
