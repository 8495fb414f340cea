"""Recommenders: where data, learners and the index meet; the baselines live here too."""

from warmstart.recommenders.lists import Lists, Recommendation
from warmstart.recommenders.recommender import Recommender, load

__all__ = ["Lists", "Recommendation", "Recommender", "load"]
