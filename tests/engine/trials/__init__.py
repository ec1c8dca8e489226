"""Artifacts that are tried beside the one that serves."""
