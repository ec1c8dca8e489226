"""Embedding many texts in one call, with Inferox and sentence-transformers side by side.

    python benchmarks/offline.py MODEL_DIRECTORY [--texts 2000] [--mix mixed] [--lengths mixed] [--rounds 5]
        [--threads 2] [--json] [--fastembed GRAPH_DIRECTORY]

The model is packed for several backends, in fp32, bf16 and int8. Each artifact, and sentence-transformers (in PyTorch,
with its own sorting and its own batches of 32), runs in a process of its own. They embed the same texts in turn, round
after round, with the same number of threads. The result is the ratio of the medians; agreement is printed too.

Large matrix products take part as well, in each precision. Texts per second are then also given as a share of the
machine's limit: the texts that it could embed if it computed nothing but the model's matrix products, as fast as it
multiplies large matrices in that precision.

With ``--fastembed`` and a folder of model.onnx and tokenizer.json, such as Optimum exports, fastembed takes part as
well, if it is installed, with its own batches of 256. It knows models by name, so the model must be all-MiniLM-L6-v2.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
from product_limit import PRECISIONS, count_operations, open_product
from tables import show

from inferox.measuring.timing import Spread, time_call, time_in_turns

if TYPE_CHECKING:
    from inferox import TaskModel

Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]

PEER = "sentence-transformers"

FASTEMBED = "fastembed"

LIMIT = "limit "
"""The prefix of the names of runners that multiply large matrices."""

_PRODUCTS = 5
"""The number of large products in a turn."""

_PHRASES = {
    "english": (
        "the weather is", "my order", "how do I", "a new study", "according to the report", "please send", "and then",
        "two people", "was cancelled", "next Monday", "reset my password", "the best way to", "is it possible", "costs",
        "of the company", "in the city", "she said", "for the first time", "with olive oil", "at least", "heavy rain",
    ),
    "terms": (
        "myocardial infarction", "hydroxychloroquine", "SO2-Emissionsgrenzwert", "Rechtsschutzversicherung", "0x7ffe3a",
        "polyethylene terephthalate", "O(n log n)", "kubectl rollout restart", "https://example.org/a/b?id=42&ref=x",
        "antidisestablishmentarianism", "CVE-2024-3094", "Szczebrzeszyn", "ISO/IEC 27001:2022", "TypeError: 'NoneType'",
    ),
    "scripts": (
        "今日は雨が降る", "欢迎来到北京", "привет из Москвы", "السلام عليكم", "नमस्ते दुनिया", "안녕하세요", "สวัสดี",
        "où est la gare", "Übergröße", "¿dónde está?", "🙂👍🏽", "naïveté", "čtvrtek", "İstanbul", "Καλημέρα",
    ),
}  # fmt: skip
"""The phrases that texts are made of. A tokenizer makes very different numbers of tokens from phrases of equal
length."""

_MIXES = {"english": (1.0, 0.0, 0.0), "mixed": (0.7, 0.18, 0.12)}
"""The share of each kind of phrase."""


_LENGTHS: dict[str, Callable[[random.Random], int]] = {
    "mixed": lambda draw: min(80, max(1, int(draw.lognormvariate(1.55, 0.95)))),
    "long": lambda draw: draw.randint(35, 60),
    "uniform": lambda _: 7,
}
"""The number of phrases of a text."""


def make_texts(count: int, mix: str, lengths: str = "mixed", *, seed: int = 0) -> list[str]:
    """Makes texts.

    Args:
        count: Their number.
        mix: ``english``, or ``mixed`` for texts with rare terms and other scripts as well.
        lengths: ``mixed`` for lengths like those of search queries and short passages, most short and few long;
            ``long`` for passages that take most of the 256 tokens of a sentence encoder; ``uniform`` for texts of about
            the mean of the first.
        seed: The seed of the random numbers.
    """
    draw = random.Random(seed)  # noqa: S311 - varied, not secret
    counts = [_LENGTHS[lengths](draw) for _ in range(count)]
    texts = []
    for length in counts:
        kinds = draw.choices(list(_PHRASES), _MIXES[mix], k=length)
        texts.append(" ".join(draw.choice(_PHRASES[kind]) for kind in kinds))
    return texts


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a sentence-transformers model directory")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--mix", choices=list(_MIXES), default="mixed")
    parser.add_argument("--lengths", choices=list(_LENGTHS), default="mixed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--backends", default="torch,onnxruntime,openvino", help="the backends, separated by commas")
    parser.add_argument("--precisions", default="fp32,bf16,int8")
    parser.add_argument("--fastembed", help="a folder with all-MiniLM-L6-v2 as an ONNX graph")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options)
        return

    import inferox

    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.mlpkg"
        packed = inferox.pack(
            options.model, package, backends=options.backends.split(","), precisions=options.precisions.split(",")
        )
        for artifact, reason in packed.refused.items():
            print(f"left out {artifact}: {reason}", file=sys.stderr)
        artifacts = [item.artifact for item in packed.evidence]
        runners = [Runner(PEER, options.model, options), *(Runner(name, str(package), options) for name in artifacts)]
        if options.fastembed:
            runners.append(Runner(FASTEMBED, options.fastembed, options))
        limits = [Runner(LIMIT + name, str(package), options) for name in PRECISIONS]
        report = compare(runners, limits, options)
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        print_table(report, options)


class Runner:
    """A way to embed, in a process of its own, so that runtimes' threads do not get in each other's way.

    Args:
        name: An artifact's name, or ``PEER``.
        model: The package, or for the peer the model directory.
        options: The options of the command line.
        script: The script that runs the other side.
        more: Further options of the command line to pass on.
    """

    def __init__(
        self,
        name: str,
        model: str,
        options: argparse.Namespace,
        *,
        script: str = __file__,
        more: Sequence[str] = (),
    ) -> None:
        self.name = name
        passed = ("texts", "mix", "lengths", "threads", *more)
        words = [
            model,
            "--serve",
            name,
            *(word for option in passed for word in (f"--{option}", getattr(options, option))),
        ]
        threads = str(options.threads)
        self._process = subprocess.Popen(  # noqa: S603 - this very file
            [sys.executable, script, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": threads, "RAYON_NUM_THREADS": threads},
        )
        self._in, self._out = cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)
        first = self._read()
        self.vectors, self.facts = np.array(first["vectors"], dtype=np.float32), first["facts"]

    def take_turn(self) -> list[float]:
        """Embeds all texts once; returns the seconds that it took, or for large products the operations per second."""
        print(self.name, file=sys.stderr)
        self._in.write("go\n")
        self._in.flush()
        return [float(self._read())]

    def close(self) -> None:
        """Ends the process."""
        self._in.close()
        self._process.wait(timeout=60)

    def _read(self) -> Any:
        line = self._out.readline()
        if not line:
            raise SystemExit(f"{self.name} failed")
        return json.loads(line)


def serve(options: argparse.Namespace) -> None:
    """Runs the other side of a ``Runner``: writes the first vectors, and then the seconds of each requested run."""
    if options.serve.startswith(LIMIT):
        serve_limit(options)
        return
    texts = make_texts(options.texts, options.mix, options.lengths)
    peers = {PEER: open_peer, FASTEMBED: open_fastembed}
    peer = peers.get(options.serve)
    embed = open_artifact(options).embed if peer is None else peer(options.model, options.threads)
    embed(texts)
    print(json.dumps({"vectors": embed(texts[:200]).tolist(), "facts": {}}), flush=True)
    for _ in sys.stdin:
        print(time_call(lambda: embed(texts)), flush=True)


def serve_limit(options: argparse.Namespace) -> None:
    """Does the same for large products, which have no vectors: the best of a few is the machine's limit."""
    multiply = open_product(options.serve.removeprefix(LIMIT), options.threads)
    print(json.dumps({"vectors": [], "facts": {}}), flush=True)
    for _ in sys.stdin:
        print(max(multiply() for _ in range(_PRODUCTS)), flush=True)


def open_peer(model: str, threads: int) -> Embed:
    """Opens sentence-transformers as its users call it."""
    import torch
    from sentence_transformers import SentenceTransformer

    peer = SentenceTransformer(model, device="cpu")

    def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        torch.set_num_threads(threads)
        return np.asarray(peer.encode(list(texts), batch_size=32, show_progress_bar=False))

    return embed


def open_fastembed(folder: str, threads: int) -> Embed:
    """Opens fastembed as its users call it, with a local graph."""
    from fastembed import TextEmbedding

    peer = TextEmbedding("sentence-transformers/all-MiniLM-L6-v2", specific_model_path=folder, threads=threads)
    return lambda texts: np.array(list(peer.embed(texts)), dtype=np.float32)


def open_artifact(options: argparse.Namespace) -> TaskModel:
    """Opens one artifact of a package by itself."""
    from inferox.core import LoadOptions
    from inferox.loading.context import PackageContext
    from inferox.loading.loader import Loader
    from inferox.package import open_package

    opened = PackageContext(open_package(options.model))
    loader = Loader(opened, None, LoadOptions("benchmark", threads=options.threads))
    artifact = next(item for item in opened.package.artifacts if item.name == options.serve)
    return loader.open_alone(artifact)


def compare(runners: Sequence[Runner], limits: Sequence[Runner], options: argparse.Namespace) -> dict[str, Any]:
    """Runs everything in turn.

    Returns:
        For each runner, the seconds of each round, the median of texts per second, the ratio to the first runner, the
        share of the machine's limit in its precision, and the agreement with the first.
    """
    seconds = time_in_turns(
        {runner.name: runner.take_turn for runner in (*runners, *limits)},
        options.rounds,
        progress=lambda number: print(f"round {number + 1} of {options.rounds}", file=sys.stderr),
    )
    for runner in (*runners, *limits):
        runner.close()
    medians = {name: Spread.of(rounds).median for name, rounds in seconds.items()}
    operations = count_operations(options.model, make_texts(options.texts, options.mix, options.lengths))
    least = {name: operations / medians[LIMIT + name] for name in PRECISIONS}
    return {
        runner.name: {
            "seconds": seconds[runner.name],
            "texts_per_second": options.texts / medians[runner.name],
            "ratio": medians[PEER] / medians[runner.name],
            "share_of_limit": least[precision_of(runner.name)] / medians[runner.name],
            **agreement(runners[0].vectors, runner.vectors),
        }
        for runner in runners
    }


def precision_of(runner: str) -> str:
    """Returns the precision of an artifact by its name; fp32 for the peer."""
    return next((name for name in PRECISIONS if f"/{name}/" in runner), "fp32")


def agreement(expected: npt.NDArray[np.float32], actual: npt.NDArray[np.float32]) -> dict[str, float]:
    """Compares vectors with others: the largest difference, and the mean and minimum cosine."""
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(actual, axis=1)
    cosines = (expected * actual).sum(axis=1) / lengths
    return {
        "max_abs": float(np.abs(expected - actual).max()),
        "cosine_mean": float(cosines.mean()),
        "cosine_min": float(cosines.min()),
    }


def print_table(report: dict[str, Any], options: argparse.Namespace) -> None:
    """Prints the results, the fastest first."""
    from rich.table import Table

    texts = f"{options.texts} {options.mix} texts of {options.lengths} lengths"
    title = f"{texts}, {options.threads} threads, median of {options.rounds} rounds in turns"
    table = Table(title=title)
    table.add_column("", overflow="fold")
    for heading in ("texts/s", "ratio", "limit", "max abs", "mean cosine", "min cosine"):
        table.add_column(heading, no_wrap=True)
    for name, row in sorted(report.items(), key=lambda item: -item[1]["ratio"]):
        table.add_row(
            name,
            f"{row['texts_per_second']:.0f}",
            f"{row['ratio']:.2f}x",
            f"{row['share_of_limit']:.0%}",
            f"{row['max_abs']:.1e}",
            f"{row['cosine_mean']:.6f}",
            f"{row['cosine_min']:.6f}",
        )
    show(table)


if __name__ == "__main__":
    main()
