"""Readers of what a model's own files say about its task, used when the model is packed."""
