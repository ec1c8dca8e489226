"""Cohere's protocol."""
