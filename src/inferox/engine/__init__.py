"""The engine: it batches the requests of many callers for many models, and isolates their faults."""

from inferox.engine.answer import Answer
from inferox.engine.config import EngineConfig
from inferox.engine.engine import Engine
from inferox.engine.histogram import Histogram
from inferox.engine.model_info import ModelInfo
from inferox.engine.phases import Phases
from inferox.engine.session import InferenceSession
from inferox.engine.stats import ModelStats
from inferox.engine.trials.options import Canary, Offer, Shadow
from inferox.engine.trials.stats import TrialInfo, TrialStats
from inferox.engine.worker_info import WorkerInfo

__all__ = [
    "Answer",
    "Canary",
    "Engine",
    "EngineConfig",
    "Histogram",
    "InferenceSession",
    "ModelInfo",
    "ModelStats",
    "Offer",
    "Phases",
    "Shadow",
    "TrialInfo",
    "TrialStats",
    "WorkerInfo",
]
