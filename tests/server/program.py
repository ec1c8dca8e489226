"""``inferox``, which at its end lists what a server's front must not import, and counts its exempt objects."""

from __future__ import annotations

import gc
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
        print("exempt from garbage collections:", gc.get_freeze_count())  # noqa: T201
