"""Metrics of the server, in Prometheus' format."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inferox.engine import Histogram, ModelStats, WorkerInfo
from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse
from inferox.server.process_memory import measure_memory
from inferox.server.request_observer import RequestObserver
from inferox.server.service import Service
from inferox.server.span_queue import SpanQueue
from inferox.server.trial_metrics import accumulate, collect_trials

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_GAUGES = {
    "waiting_rows": "Rows waiting for a batch.",
    "waiting_tokens": "Tokens waiting for a batch.",
    "missing_workers": "Worker processes that did not report their statistics in time.",
}

_COUNTERS = {
    "batches": "Batches computed.",
    "rows": "Rows computed.",
    "tokens": "Tokens computed, without padding.",
    "equal_rows": "Rows answered with the result of an equal row.",
    "cached_rows": "Rows answered from the cache.",
    "failed_batches": "Batches that failed as a whole.",
    "split_batches": "Failed batches whose rows were then computed in smaller ones.",
    "quarantined_rows": "Rows refused for a while because they crashed worker processes.",
    "non_finite_rows": "Rows whose outputs were NaN or infinite.",
    "evictions": "Times the model was closed because others needed its memory.",
    "failovers": "Times another artifact took over.",
}

_HISTOGRAMS = {
    "batch_rows": ("batch_rows", "Rows of a batch."),
    "batch_tokens": ("batch_tokens", "Tokens of a batch."),
    "padding": ("batch_padding_ratio", "Share of a batch that is padding."),
    "queue_s": ("queue_seconds", "Seconds from the arrival of a request to the batch of its row."),
    "compute_s": ("compute_seconds", "Seconds to compute a batch."),
}
"""The names of histograms: in the statistics and in the metrics, with their help texts."""


TEXT = "text/plain"
"""The content type of the metrics, without the version of the format."""


class Metrics:
    """Serves the metrics.

    Args:
        service: Answers the requests.
        answers: The number of responses, by status.
        observer: Counts the calls of gRPC, and sends traces.
    """

    def __init__(self, service: Service, answers: Counter[int], observer: RequestObserver) -> None:
        self._service = service
        self._answers = answers
        self._observer = observer

    async def answer(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Responds with all metrics, in Prometheus' text format."""
        stats = {info.name: some for info, some in await self._service.stats_of_all()}
        is_ready = self._service.why_not_ready() is None
        # The library takes a tenth of a second to import, and only servers that are scraped need it.
        processes = self._service.workers(), self._service.restarts()
        windows = {name: self._service.window(name) for name in stats}
        written, kind = await asyncio.to_thread(
            _write,
            stats,
            (dict(self._answers), dict(self._observer.calls)),
            processes,
            windows,
            self._observer.spans,
            is_ready=is_ready,
        )
        return HttpResponse(written, content_type=kind)


def _write(
    stats: Mapping[str, ModelStats],
    answers: tuple[Mapping[int, int], Mapping[str, int]],
    processes: tuple[Sequence[WorkerInfo], Mapping[str, int]],
    windows: Mapping[str, float],
    spans: SpanQueue | None,
    *,
    is_ready: bool,
) -> tuple[bytes, str]:
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

    class Collector:
        def collect(self) -> Iterator[Metric]:
            yield from _collect_processes(*processes)
            yield from _collect_answers(*answers)
            yield from _collect(stats, is_ready=is_ready)
            yield _collect_windows(windows)
            if spans is not None:
                yield from _collect_spans(spans)

    registry = CollectorRegistry()
    registry.register(Collector())
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _collect_processes(workers: Sequence[WorkerInfo], restarts: Mapping[str, int]) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    alive = sum(not (worker.is_sandbox or worker.is_shadow) for worker in workers)
    yield GaugeMetricFamily("inferox_workers", "Worker processes that are alive.", float(alive))
    restarted = CounterMetricFamily(
        "inferox_worker_restarts", "Worker processes that replaced one that had ended.", labels=["process"]
    )
    for kind, count in restarts.items():
        restarted.add_metric([kind], count)
    yield restarted
    memory = GaugeMetricFamily("inferox_memory_bytes", "Resident memory of processes.", labels=["process"])
    for kind, size_bytes in measure_memory(workers).items():
        memory.add_metric([kind], size_bytes)
    yield memory


def _collect_spans(spans: SpanQueue) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily

    yield CounterMetricFamily("inferox_traced_requests", "Requests whose traces were delivered.", value=spans.sent)
    lost = CounterMetricFamily("inferox_lost_traces", "Requests whose traces were not delivered.", labels=["reason"])
    for reason, requests in spans.dropped.items():
        lost.add_metric([reason], requests)
    yield lost


def _collect_windows(windows: Mapping[str, float]) -> Metric:
    from prometheus_client.metrics_core import GaugeMetricFamily

    family = GaugeMetricFamily(
        "inferox_window_items", "Items that may be in progress; infinite until a request is late.", labels=["model"]
    )
    for model, items in windows.items():
        family.add_metric([model], items)
    return family


def _collect_answers(answers: Mapping[int, int], calls: Mapping[str, int]) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily

    requests = CounterMetricFamily("inferox_http_requests", "HTTP requests that were answered.", labels=["status"])
    for status, count in sorted(answers.items()):
        requests.add_metric([str(status)], count)
    yield requests
    finished = CounterMetricFamily(
        "inferox_grpc_requests", "gRPC calls, and requests of streams, that ended.", labels=["code"]
    )
    for code, count in sorted(calls.items()):
        finished.add_metric([code], count)
    yield finished


def _collect(stats: Mapping[str, ModelStats], *, is_ready: bool) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    yield GaugeMetricFamily("inferox_ready", "Whether every model can be computed now.", float(is_ready))
    families: list[tuple[type[Any], Mapping[str, str]]] = [
        (GaugeMetricFamily, _GAUGES),
        (CounterMetricFamily, _COUNTERS),
    ]
    for kind, names in families:
        for name, meaning in names.items():
            family = kind(f"inferox_{name}", meaning, labels=["model"])
            for model, some in stats.items():
                family.add_metric([model], getattr(some, name))
            yield family
    predicted = GaugeMetricFamily(
        "inferox_predicted_queue_seconds", "Seconds until the waiting rows will be computed.", labels=["model"]
    )
    for model, some in stats.items():
        if some.predicted_queue_s is not None:
            predicted.add_metric([model], some.predicted_queue_s)
    yield predicted
    for name, (shown, meaning) in _HISTOGRAMS.items():
        histograms = HistogramMetricFamily(f"inferox_{shown}", meaning, labels=["model"])
        for model, some in stats.items():
            found: Histogram = getattr(some, name)
            histograms.add_metric([model], accumulate(found), found.total)
        yield histograms
    yield from collect_trials(stats)
