"""The names of the files of a tokenizer, and of what Inferox adds to them. Imports nothing, as tasks need them too."""

from __future__ import annotations

TOKENIZER_FILE = "tokenizer.json"
"""The tokenizer's file in a model directory and in a package."""

TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
"""The file with the settings that the tokenizer's own format cannot hold."""

LIMIT_IS_RESOLVED = "limit_is_resolved"
"""The key of ``tokenizer_config.json`` that says that ``model_max_length`` takes the model's config into account."""
