"""Runtimes, each in its own folder behind the contract of ``inferox.core.Backend``."""
