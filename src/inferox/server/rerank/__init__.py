"""Ranking and scoring, as Cohere, Jina, vLLM, infinity, OpenVINO Model Server and KServe have them."""
