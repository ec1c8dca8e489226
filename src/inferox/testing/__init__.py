"""For authors of backends: a conformance suite (``inferox.testing.conformance``) and a backend to learn from."""
