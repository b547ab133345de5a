"""Figures for Prometheus: requests, open streams, sessions by status, events written.

Counters are this process's own and start at zero with it. Figures of the
database are read at each scrape and are the same whichever replica answers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vibe_app.accounts.roles import Scope as TokenScope
from vibe_app.aio import BROKEN
from vibe_app.api.errors import error_response, status_of
from vibe_app.board.lifecycle import LIVE, SessionStatus
from vibe_app.board.spending.limits import NANO
from vibe_app.board.spending.models import ModelTotal
from vibe_app.errors import Forbidden, VibeError
from vibe_app.wiring import services
from vibe_app.workspaces.states import WorkspaceStatus

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "vibe_http_requests", "Answers of the API", ("method", "route", "status"), registry=REGISTRY
)
DURATION = Histogram(
    "vibe_http_request_seconds",
    "Seconds to the beginning of an answer of the API",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
OPEN_STREAMS = Gauge("vibe_output_streams", "Readers of sessions' output connected now", registry=REGISTRY)
SESSIONS = Gauge("vibe_sessions", "Sessions in the database", ("status",), registry=REGISTRY)
LIVE_SESSIONS = Gauge("vibe_sessions_live", "Sessions that are pending or running", registry=REGISTRY)
WORKSPACES = Gauge("vibe_workspaces", "Workspaces by status", ("status",), registry=REGISTRY)
ORPHANS = Gauge("vibe_workspace_orphans", "Workspaces that belong to no project", registry=REGISTRY)
JOB_RUNS = Gauge("vibe_job_running", "Whether a process runs the job now", ("job",), registry=REGISTRY)
JOB_ENDED = Gauge(
    "vibe_job_ended_timestamp_seconds", "When a run last ended so", ("job", "result"), registry=REGISTRY
)
HELD_RUNS = Gauge("vibe_runs_held", "Sessions that this process runs", registry=REGISTRY)


class _EventsWritten(Collector):
    """Counts in the feed itself, which knows nothing of metrics."""

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(
            "vibe_events_written",
            "Events that this process has written to the database",
            value=services().event_log.written,
        )


class _Loops(Collector):
    """Counts how often what must not end has broken in this process."""

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(
            "vibe_loop_failures",
            "How often a loop that must not end broke and was started again",
            labels=["loop"],
        )
        for name, times in BROKEN.items():
            family.add_metric([name], times)
        yield family


class _Spent(Collector):
    """Sums of the database by model, as they were read for this scrape: whichever worker answers."""

    def __init__(self) -> None:
        self.totals: Sequence[ModelTotal] = ()

    def collect(self) -> Iterable[Metric]:
        labels = ["provider", "model"]
        requests = CounterMetricFamily("vibe_model_requests", "Requests to models", labels=labels)
        tokens = CounterMetricFamily(
            "vibe_tokens", "Tokens that models read and wrote", labels=[*labels, "direction"]
        )
        cost = CounterMetricFamily(
            "vibe_cost_dollars", "US dollars of requests whose price is known", labels=labels
        )
        unpriced = CounterMetricFamily(
            "vibe_unpriced_tokens", "Tokens of requests whose cost is not known", labels=labels
        )
        unknown = CounterMetricFamily(
            "vibe_unpriced_requests", "Requests whose cost is not known", labels=labels
        )
        for total in self.totals:
            named = [total.provider, total.model]
            requests.add_metric(named, total.requests)
            cost.add_metric(named, total.cost_nano / NANO)
            unpriced.add_metric(named, total.unpriced_tokens)
            unknown.add_metric(named, total.unpriced_requests)
            for direction in _DIRECTIONS:
                tokens.add_metric([*named, direction], getattr(total, f"tokens_{direction}"))
        return requests, tokens, cost, unpriced, unknown


_DIRECTIONS = ("input", "output", "reasoning", "cache_read", "cache_write")
_SPENT = _Spent()
REGISTRY.register(_EventsWritten())
REGISTRY.register(_SPENT)
REGISTRY.register(_Loops())

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


class CountRequests:
    """Counts answers by method, route and status, and measures the time to their beginning."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                DURATION.labels(_method(scope), _route(scope)).observe(perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            REQUESTS.labels(_method(scope), _route(scope), status).inc()


async def metrics(request: Request) -> Response:
    """Answer a scrape: for this machine itself, else for an admin's bearer token.

    A request that a proxy on this machine passed on is not from this machine.
    """
    try:
        if not _is_local(request):
            await _require_admin(request)
        counts = await services().sessions.counts()
        _SPENT.totals = await services().spending.totals()
        await _look_at_jobs()
    except VibeError as error:
        return error_response(status_of(error), error.message, error.code)
    for status in SessionStatus:
        SESSIONS.labels(status.value).set(counts.get(status, 0))
    LIVE_SESSIONS.set(sum(counts.get(status, 0) for status in LIVE))
    HELD_RUNS.set(services().supervisor.running)
    return Response(generate_latest(REGISTRY), media_type="text/plain; version=0.0.4")


async def _look_at_jobs() -> None:
    parts = services()
    for job in await parts.jobs.views():
        JOB_RUNS.labels(job.name).set(job.owner is not None)
        for result, at in (("ok", job.finished_at), ("failed", job.failed_at)):
            if at is not None:
                JOB_ENDED.labels(job.name, result).set(at.timestamp())
    found, orphans = await parts.workspaces.counts()
    for status in WorkspaceStatus:
        WORKSPACES.labels(status.value).set(found.get(status, 0))
    ORPHANS.set(orphans)


async def _require_admin(request: Request) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    actor = await services().accounts.who(token.strip() if scheme.lower() == "bearer" else None)
    actor.need_scope(TokenScope.READ, None)
    if not actor.is_admin:
        raise Forbidden("Only an admin of this installation may read the metrics.", "not_an_admin")


def _is_local(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _method(scope: Scope) -> str:
    """Return the method, or `other` for one that somebody made up: each would be a time series."""
    return scope["method"] if scope["method"] in _METHODS else "other"


def _route(scope: Scope) -> str:
    """Return the route's pattern, so that ids do not make a time series each."""
    return getattr(scope.get("route"), "path", "none")
