"""The Candle backend. Candle is imported when it is first used, and PyTorch never to run a model."""

from inferox.backends.candle.backend import CandleBackend

__all__ = ["CandleBackend"]
