"""The classes of other libraries, answered by packages: scripts change the line of the import, and nothing else.

    from inferox.compat import CrossEncoder, SentenceTransformer  # instead of: from sentence_transformers import …

``docs/migration.md`` says what is the same, and what is not supported.
"""

from inferox.compat.cross_encoder import CrossEncoder
from inferox.compat.sentence_transformer import SentenceTransformer

__all__ = ["CrossEncoder", "SentenceTransformer"]
