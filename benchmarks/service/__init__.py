"""What the HTTP service costs: throughput against a route that does nothing, latency, events."""
