"""``inferox``, which at its end lists the imported modules that a server's front must not import."""

from __future__ import annotations

import sys

from inferox.cli.main import main

FOREIGN = (
    "opentelemetry",
    "torch",
    "onnxruntime",
    "openvino",
    "candle",
    "tokenizers",
    "transformers",
    "sentence_transformers",
)

if __name__ == "__main__":
    try:
        main()
    finally:
        print("imported:", *(name for name in FOREIGN if name in sys.modules))  # noqa: T201 - a program
