"""The names of the files of a tokenizer, and of what Inferox adds to them. Imports nothing, as tasks need them too."""

from __future__ import annotations

TOKENIZER_FILE = "tokenizer.json"
"""Where a model and a package keep the tokenizer."""

TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
"""Where they keep what the tokenizer's own format has no place for."""

LIMIT_IS_RESOLVED = "limit_is_resolved"
"""The key of ``tokenizer_config.json`` that says that ``model_max_length`` takes the model's config into account."""
