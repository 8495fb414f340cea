"""What the service keeps up with: `python -m benchmarks.service.store`."""
