"""Embedding many texts of mixed lengths in one call: Inferox and sentence-transformers, side by side in one run.

    python benchmarks/offline.py MODEL_DIRECTORY [--texts 2000] [--mix mixed] [--rounds 3] [--threads 2] [--json]

The model is packed for every backend that is installed, in fp32 and, with OpenVINO, in int8. Each artifact and
sentence-transformers (in PyTorch, with its own sorting and its own batches of 32) then embed the same texts in turns,
round after round, with the same number of threads. What counts is the ratio of the medians; agreement is printed too.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]

_PHRASES = {
    "english": (
        "the weather is", "my order", "how do I", "a new study", "according to the report", "please send", "in the city",
        "two people", "was cancelled", "next Monday", "reset my password", "the best way to", "is it possible", "costs",
        "of the company", "and then", "she said", "for the first time", "with olive oil", "at least", "heavy rain",
    ),
    "terms": (
        "myocardial infarction", "hydroxychloroquine", "SO2-Emissionsgrenzwert", "Rechtsschutzversicherung", "CVE-2024-3094",
        "polyethylene terephthalate", "O(n log n)", "kubectl rollout restart", "https://example.org/a/b?id=42&ref=x",
        "antidisestablishmentarianism", "0x7ffe3a", "Szczebrzeszyn", "ISO/IEC 27001:2022", "TypeError: 'NoneType'",
    ),
    "scripts": (
        "今日は雨が降る", "欢迎来到北京", "привет из Москвы", "السلام عليكم", "नमस्ते दुनिया", "안녕하세요", "สวัสดี", "Καλημέρα",
        "où est la gare", "Übergröße", "¿dónde está?", "🙂👍🏽", "naïveté", "čtvrtek", "İstanbul",
    ),
}  # fmt: skip
"""What texts are made of. A tokenizer makes very different numbers of tokens of phrases of the same length."""

_MIXES = {"english": (1.0, 0.0, 0.0), "mixed": (0.7, 0.18, 0.12)}
"""How much of each kind of phrase texts have."""


def make_texts(count: int, mix: str, seed: int = 0) -> list[str]:
    """Texts whose lengths are spread as those of search queries and short passages: most are short, few are long.

    Args:
        count: How many.
        mix: ``english``, or ``mixed`` for texts with rare terms and other scripts as well.
        seed: What they are drawn from.
    """
    draw = random.Random(seed)  # noqa: S311 - varied, not secret
    lengths = [min(80, max(1, int(draw.lognormvariate(1.55, 0.95)))) for _ in range(count)]
    texts = []
    for length in lengths:
        kinds = draw.choices(list(_PHRASES), _MIXES[mix], k=length)
        texts.append(" ".join(draw.choice(_PHRASES[kind]) for kind in kinds))
    return texts


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a sentence-transformers model directory")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--mix", choices=list(_MIXES), default="mixed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precisions", default="fp32,int8")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    texts = make_texts(options.texts, options.mix)
    with tempfile.TemporaryDirectory() as folder:
        package = pack_all(options.model, Path(folder) / "model.mlpkg", options.precisions.split(","))
        runners = {"sentence-transformers": open_peer(options.model, options.threads)}
        runners |= open_artifacts(package, options.threads)
        report = compare(runners, texts, options.rounds)
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        print_table(report, options)


def pack_all(model: str, output: Path, precisions: Sequence[str]) -> Path:
    """Packs a model for every backend that can write artifacts here."""
    import inferox
    from inferox.backends.registry import backend_names, get_backend, probe_backend
    from inferox.core import InferoxError

    backends = []
    for name in backend_names():
        try:
            if probe_backend(name).available and get_backend(name).exporter() is not None:
                backends.append(name)
        except InferoxError as error:
            print(f"without {name}: {error}", file=sys.stderr)
    report = inferox.pack(model, output, backends=backends, precisions=tuple(precisions))
    for artifact, reason in report.refused.items():
        print(f"left out {artifact}: {reason}", file=sys.stderr)
    return report.path


def open_peer(model: str, threads: int) -> Embed:
    """sentence-transformers as its users call it."""
    import torch
    from sentence_transformers import SentenceTransformer

    peer = SentenceTransformer(model, device="cpu")

    def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        torch.set_num_threads(threads)
        return np.asarray(peer.encode(list(texts), batch_size=32, show_progress_bar=False))

    return embed


def open_artifacts(package: Path, threads: int) -> dict[str, Embed]:
    """Each artifact of a package by itself."""
    from inferox.core import LoadOptions
    from inferox.engine.loading import Loader, Opened
    from inferox.package import open_package

    opened = Opened(open_package(package))
    loader = Loader(opened, None, LoadOptions("benchmark", threads=threads))
    return {artifact.name: loader.open_alone(artifact).embed for artifact in opened.package.artifacts}


def compare(runners: dict[str, Embed], texts: Sequence[str], rounds: int) -> dict[str, Any]:
    """Runs everything in turns.

    Returns:
        For each runner the seconds of each round, texts a second by the median, the ratio to the first runner, and the
        agreement with it.
    """
    vectors = {name: embed(texts[:200]) for name, embed in runners.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for index in range(rounds):
        for name, embed in runners.items():
            print(f"round {index + 1} of {rounds}: {name}", file=sys.stderr)
            started = time.perf_counter()
            embed(texts)
            seconds[name].append(time.perf_counter() - started)
    peer = next(iter(runners))
    base = statistics.median(seconds[peer])
    return {
        name: {
            "seconds": times,
            "texts_per_second": len(texts) / statistics.median(times),
            "ratio": base / statistics.median(times),
            **agreement(vectors[peer], vectors[name]),
        }
        for name, times in seconds.items()
    }


def agreement(expected: npt.NDArray[np.float32], actual: npt.NDArray[np.float32]) -> dict[str, float]:
    """How far vectors are from others: the largest difference, and the mean and least cosine."""
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(actual, axis=1)
    cosines = (expected * actual).sum(axis=1) / lengths
    return {
        "max_abs": float(np.abs(expected - actual).max()),
        "cosine_mean": float(cosines.mean()),
        "cosine_min": float(cosines.min()),
    }


def print_table(report: dict[str, Any], options: argparse.Namespace) -> None:
    """Prints what was measured, the fastest first."""
    from rich.console import Console
    from rich.table import Table

    title = (
        f"{options.texts} {options.mix} texts, {options.threads} threads, median of {options.rounds} rounds in turns"
    )
    table = Table("", "texts/s", "ratio", "max abs", "cosine mean", "least", title=title)
    for name, row in sorted(report.items(), key=lambda item: -item[1]["ratio"]):
        table.add_row(
            name,
            f"{row['texts_per_second']:.0f}",
            f"{row['ratio']:.2f}x",
            f"{row['max_abs']:.1e}",
            f"{row['cosine_mean']:.6f}",
            f"{row['cosine_min']:.6f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
