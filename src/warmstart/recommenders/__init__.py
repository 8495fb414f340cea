"""Recommenders: where data, learners and the index meet; the baselines live here too."""

from warmstart.recommenders.lists import Lists, Recommendation
from warmstart.recommenders.llm_recommender import LLMRecommender
from warmstart.recommenders.meta_recommender import MetaRecommender
from warmstart.recommenders.recommender import Recommender, load

__all__ = ["LLMRecommender", "Lists", "MetaRecommender", "Recommendation", "Recommender", "load"]
