"""An engine with worker processes, run as a program: it prints its answers, and then waits to be killed."""

from __future__ import annotations

import asyncio
import json
import sys
import time

from inferox import Engine, EngineConfig

FOREIGN = ("torch", "onnxruntime", "openvino", "candle", "tokenizers", "transformers")


def main() -> None:
    """Answers texts."""
    package, texts = sys.argv[1], sys.argv[2:]
    engine = Engine(EngineConfig(isolation="process", threads=1))
    info = engine.load(package, name="minilm", backend="onnxruntime")
    vectors = engine.infer("minilm", texts).results
    alone = asyncio.run(engine.ainfer("minilm", texts[:1])).results
    found = {
        "space": info.embedding_space,
        "vectors": vectors.tolist(),
        "alone": alone.tolist(),
        "is_writeable": bool(vectors.flags.writeable),
        "pids": [worker.pid for worker in engine.workers()],
        "imported": [name for name in FOREIGN if name in sys.modules],
    }
    print(json.dumps(found), flush=True)  # noqa: T201 - a program
    engine.infer("minilm", ["on and on " * 50] * 2000)
    time.sleep(60)


if __name__ == "__main__":
    main()
