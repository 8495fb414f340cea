"""What adapting and ranking cost, as ratios to the bare NumPy floor; run `python -m benchmarks.speed`."""
