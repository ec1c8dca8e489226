"""Inferox within other libraries: one file per library, which imports it."""
