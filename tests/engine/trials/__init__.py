"""Artifacts that are tried beside the serving one."""
