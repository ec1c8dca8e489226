"""Writes a sentence encoder of the shape of BERT-base, with random weights, for the other benchmarks.

    python benchmarks/bert_base.py MINILM_DIRECTORY OUTPUT_DIRECTORY

Everything but the model is that of MiniLM's directory: the tokenizer, whose vocabulary is BERT's, mean pooling, and
normalisation. The speed of a model depends on its shape, not on its weights.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path


def main() -> None:
    """Writes the directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minilm", type=Path, help="the directory of all-MiniLM-L6-v2")
    parser.add_argument("output", type=Path, help="the directory to write, which must not exist")
    options = parser.parse_args()

    import torch
    from transformers import BertConfig, BertModel

    shutil.copytree(options.minilm, options.output, ignore=shutil.ignore_patterns("*.bin", "*.safetensors", "onnx"))
    torch.manual_seed(0)
    BertModel(BertConfig()).eval().save_pretrained(options.output)
    pooling = options.output / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text(encoding="utf-8").replace("384", "768"), encoding="utf-8")


if __name__ == "__main__":
    main()
