"""What adapting and ranking cost, as ratios to a NumPy floor: `python -m benchmarks.speed`."""
