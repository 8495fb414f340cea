"""What Prometheus reads; labels hold patterns of routes and nothing of tenants or users."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The counters of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._children: dict[tuple[str, str, int], Histogram] = {}
        self.seconds = Histogram(
            "warmstart_request_seconds",
            "Seconds from the first byte of a request to the last of its answer",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.running = Gauge(
            "warmstart_requests_running", "Requests being worked on", registry=self.registry
        )
        self.refused = Counter(
            "warmstart_refused_total", "Requests refused early", ["why"], registry=self.registry
        )
        self.events = Counter(
            "warmstart_events_total", "Events sent", ["became"], registry=self.registry
        )
        self.items = Counter(
            "warmstart_item_changes_total", "Items changed", ["kind"], registry=self.registry
        )
        self.batch = Histogram(
            "warmstart_batch_users",
            "Users that were ranked together",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.model = Gauge(
            "warmstart_model_info", "1 for the model that serves", ["model"], registry=self.registry
        )
        self.compiled = Gauge(
            "warmstart_model_compiled",
            "1 where the model ranks by compiled loops",
            registry=self.registry,
        )

    def took(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; its labels are looked up once, which costs more than counting."""
        key = (method, route, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self.seconds.labels(*map(str, key))
        child.observe(seconds)

    def served(self, model: str) -> None:
        """Say which model serves now."""
        self.model.clear()
        self.model.labels(model).set(1)

    def text(self) -> bytes:
        """Return the page."""
        return generate_latest(self.registry)
