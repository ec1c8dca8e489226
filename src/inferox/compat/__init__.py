"""Drop-in replacements for classes of other libraries, backed by packages: a script only changes its import.

    from inferox.compat import CrossEncoder, SentenceTransformer  # instead of: from sentence_transformers import …

``docs/migration.md`` lists what is the same, and what is not supported.
"""

from inferox.compat.cross_encoder import CrossEncoder
from inferox.compat.sentence_transformer import SentenceTransformer

__all__ = ["CrossEncoder", "SentenceTransformer"]
