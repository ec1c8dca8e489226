"""Inferox: pack a PyTorch model once, prove that every runtime computes the same thing, and run it anywhere."""
