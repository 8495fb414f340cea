"""Recommendation from the first click: learn how to adapt to a new user or a new item.

Public names load on first use, so that importing the package never imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "AdRecommender": "warmstart.ads.recommender",
    "Client": "warmstart.service.client",
    "Dataset": "warmstart.data",
    "load_dataset": "warmstart.data",
    "LLMRecommender": "warmstart.recommenders",
    "MetaRecommender": "warmstart.recommenders",
    "Recommender": "warmstart.recommenders",
    "load": "warmstart.recommenders",
    "maml": "warmstart.meta.arrays",
}
__all__ = [
    "AdRecommender",
    "Client",
    "Dataset",
    "LLMRecommender",
    "MetaRecommender",
    "Recommender",
    "__version__",
    "load",
    "load_dataset",
    "maml",
]

if TYPE_CHECKING:
    from warmstart.ads.recommender import AdRecommender
    from warmstart.data import Dataset, load_dataset
    from warmstart.meta.arrays import maml
    from warmstart.recommenders import LLMRecommender, MetaRecommender, Recommender, load
    from warmstart.service.client import Client


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module's attribute can be anything)
    if name not in _HOME:
        raise AttributeError(f"module 'warmstart' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
