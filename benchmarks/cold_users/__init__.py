"""Users nobody has seen, ranked over the whole catalogue, against tuned baselines."""
