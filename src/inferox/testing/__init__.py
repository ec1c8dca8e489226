"""Tools for authors of backends: a conformance suite (``inferox.testing.conformance``) and an example backend."""
