"""Which rows join a batch, and how a batch is laid out."""
