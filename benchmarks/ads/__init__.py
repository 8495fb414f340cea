"""Benchmarks of advertisements."""
