"""The metrics, read by Prometheus' own parser."""

from __future__ import annotations

import json
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from inferox.engine import ModelStats, TrialInfo, TrialStats
from inferox.server import ServerConfig
from inferox.server.trial_metrics import collect_trials
from tests.server.test_api_keys import make
from tests.server.test_app import holding, run


def test_metrics_say_what_was_computed() -> None:
    async def test() -> None:
        async with holding() as held:
            held.model.may_go.set()
            assert (await held.ask("abc", "d")).status_code == 200
            assert (await held.http.get("/nothing")).status_code == 404
            told = await held.http.get("/metrics")
            assert told.headers["content-type"].startswith("text/plain; version=")
            samples = {
                (sample.name, *sorted(sample.labels.values())): sample.value
                for family in text_string_to_metric_families(told.text)
                for sample in family.samples
            }
            stats = held.engine.stats("model")
            assert samples["inferox_http_requests_total", "200"] == 1
            assert samples["inferox_http_requests_total", "404"] == 1
            assert samples["inferox_rows_total", "model"] == 2
            assert samples["inferox_tokens_total", "model"] == 4
            assert samples["inferox_waiting_rows", "model"] == 0
            assert samples["inferox_predicted_queue_seconds", "model"] == 0
            assert samples["inferox_split_batches_total", "model"] == 0
            assert samples["inferox_quarantined_rows_total", "model"] == 0
            for kind in ("worker", "sandbox", "shadow"):
                assert samples["inferox_worker_restarts_total", kind] == 0
            assert samples["inferox_batch_rows_count", "model"] == stats.batches
            assert samples["inferox_batch_rows_sum", "model"] == 2
            assert samples["inferox_queue_seconds_bucket", "+Inf", "model"] == 2
            buckets = [value for name, value in samples.items() if name[0] == "inferox_queue_seconds_bucket"]
            assert buckets == sorted(buckets)

    run(test)


def test_metrics_need_a_key_where_there_are_keys() -> None:
    async def test() -> None:
        async with holding(ServerConfig(api_keys=(make(),))) as held:
            assert (await held.http.get("/metrics")).status_code == 401
            key = {"authorization": "Bearer secret of alice"}
            assert (await held.http.get("/metrics", headers=key)).status_code == 200

    run(test)


def test_the_dashboard_queries_existing_metrics() -> None:
    dashboard = json.loads((Path(__file__).parents[2] / "deploy" / "grafana.json").read_text(encoding="utf-8"))
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"inferox_\w+", target["expr"])
    }

    trial = TrialStats(TrialInfo("canary", "a", 0.1), compared=1, cosine_min=1.0, max_abs=0.0)

    async def test() -> None:
        async with holding() as held:
            held.model.may_go.set()
            await held.ask("a")
            held.app.observer.calls["OK"] += 1
            told = (await held.http.get("/metrics")).text
            families = [*text_string_to_metric_families(told), *collect_trials({"model": ModelStats(trials=(trial,))})]
            there = {sample.name for family in families for sample in family.samples}
            assert asked
            assert asked <= there

    run(test)
