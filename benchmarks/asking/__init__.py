"""Asking in one's own words, and what language models add to that and to ranking, measured."""
