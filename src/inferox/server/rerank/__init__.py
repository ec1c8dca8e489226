"""Ranking and scoring, in the protocols of Cohere, Jina, vLLM, infinity, OpenVINO Model Server and KServe."""
