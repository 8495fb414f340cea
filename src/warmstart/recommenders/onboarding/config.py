"""Settings of onboarding."""

from __future__ import annotations

from pydantic import Field

from warmstart.core.config import Config
from warmstart.meta.linear_belief import LinearBeliefConfig
from warmstart.meta.settings import QuestionPolicyConfig


class OnboardingConfig(Config):
    """Settings of what is learned about asking.

    Attributes:
        belief: the priors of ratings and of who has met what.
        policy: the training of the learned policy.
        list_length: of the greedy list.
        practice_items: how many of the most rated items are tried in practice.
        query_share: share of a training user's ratings that judges the questions.
        fewest_users: with fewer training users, nothing is practised.
        practice_users: most training users who practise.
        folds: in which they do.
        dense_items: catalogue size up to which the ranking of practice keeps a whole covariance.
        neighbours: of each item in a larger one.
    """

    belief: LinearBeliefConfig = LinearBeliefConfig()
    policy: QuestionPolicyConfig = QuestionPolicyConfig()
    list_length: int = Field(10, ge=1)
    practice_items: int = Field(150, ge=1)
    query_share: float = Field(0.3, gt=0, lt=1)
    fewest_users: int = Field(40, ge=4)
    practice_users: int = Field(2_000, ge=4)
    folds: int = Field(2, ge=2)
    dense_items: int = Field(6_000, ge=1)
    neighbours: int = Field(200, ge=1)
