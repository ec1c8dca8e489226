"""What the files of a model say of its task: read when a model is packed."""
