"""Trials of other artifacts beside the serving one: a shadow is compared, and a canary answers a share of requests."""
