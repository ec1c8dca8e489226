"""The names of a tokenizer's files, and of the keys that Inferox adds. Imports nothing, as tasks need them too."""

from __future__ import annotations

TOKENIZER_FILE = "tokenizer.json"
"""The tokenizer's file in a model directory and in a package."""

TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
"""The file with the settings that the tokenizer's own format cannot hold."""

LIMIT_IS_RESOLVED = "limit_is_resolved"
"""The key of ``tokenizer_config.json`` that marks a ``model_max_length`` which accounts for the model's config."""
