"""Top-k over the catalogue."""

from warmstart.index.topk import top_k

__all__ = ["top_k"]
