"""What dislikes in the support are worth; run `python -m benchmarks.dislikes`."""
