"""Settings of the default method."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from warmstart.core.config import Config
from warmstart.meta.belief import BeliefConfig
from warmstart.meta.settings import OuterConfig
from warmstart.recommenders.ials import IALSConfig
from warmstart.recommenders.memory import MemoryConfig
from warmstart.recommenders.onboarding.config import OnboardingConfig

_Strength = Annotated[float, Field(ge=0, le=100)]
_Shots = Annotated[int, Field(ge=0)]


class DefaultConfig(Config):
    """Settings of the default method; one set serves every catalogue we have tried.

    Attributes:
        folds: how many encoders, each trained without one fold of the users; by default 5 where
            users are few (under 3,000), else 3.
        hidden_dim: width of an encoder's hidden layer.
        embedding_dim: width of an encoder's query vector.
        dropout: share of hidden units dropped in training.
        feature_dropout: share of users whose features are hidden in training.
        max_shots: most likes in a few-shot episode.
        dislike_share: share of episodes that show dislikes, where there are any.
        memory_dislike: what a clear dislike weighs in the memories, against 1 for a like.
        popularity_prior: likes added to every item before popularity is measured.
        training: meta-training of the encoders.
        closed_form: the Gaussian belief.
        recent_shares: ages tried for what is rising; see `warmstart.recommenders.recency`.
        activity: a user counts in the gates by the number of their likes to this power.
        newest_share: share of the users, the last to arrive, who have half the say in the gates
            where the data have times: who comes next is like them.
        powers: the closed form takes part once for each exponent b, divided by popularity^b.
        factors: settings of the folded-in factors; validation users choose one for few shots and
            one for many.
        memory: the item–item memories.
        dense_items: catalogue size up to which the belief's covariance is kept whole.
        likeness_items: catalogue size up to which likeness of content is one more memory.
        gate_shots: numbers of shots at which the gates are chosen.
        gate_users: training users on whom they are chosen; where there are fewer, each is asked
            with several supports.
        onboarding: what is learned about asking new users.
        propensity_power: a like of an item weighs popularity to minus this power in the outer
            losses, of encoders and gates; see `warmstart.meta.remedies`.
        group_tilt: how much more the tasks of the users who are served worse weigh there; 0 for
            not at all.
        group_columns: of the users table, whose values are the groups; by default every column
            of two to twelve values.
        popularity_penalty: how far popular items are pushed down at scoring, 0.5 for half of what
            the best item is worth where an item is the most popular; for all users or by number
            of shots; see `warmstart.recommenders.remedies`.
        cold_norm: how far the vectors of items without interactions are stretched to the length
            of the others, 1 for wholly.
    """

    folds: int | None = Field(None, ge=2)
    hidden_dim: int = Field(300, ge=1)
    embedding_dim: int = Field(128, ge=1)
    dropout: float = Field(0.4, ge=0, lt=1)
    feature_dropout: float = Field(0.2, ge=0, le=1)
    max_shots: int = Field(20, ge=1)
    dislike_share: float = Field(0.5, ge=0, le=1)
    memory_dislike: float = Field(0.3, ge=0)
    popularity_prior: float = Field(1.0, gt=0)
    training: OuterConfig = OuterConfig()
    closed_form: BeliefConfig = BeliefConfig()
    recent_shares: tuple[float, ...] = (0.03, 0.1, 0.3)
    activity: float = Field(0.5, ge=0, le=1)
    newest_share: float = Field(0.2, gt=0, le=1)
    powers: tuple[float, ...] = (0.0, 0.15, 0.3)
    factors: tuple[IALSConfig, ...] = (
        IALSConfig(factors=64, reg=400.0, alpha=20.0),
        IALSConfig(factors=64, reg=100.0, alpha=20.0),
        IALSConfig(factors=128, reg=100.0, alpha=10.0),
        IALSConfig(factors=128, reg=30.0, alpha=10.0),
    )
    memory: MemoryConfig = MemoryConfig()
    dense_items: int = Field(6_000, ge=1)
    likeness_items: int = Field(20_000, ge=0)
    gate_shots: tuple[int, ...] = (0, 1, 2, 3, 5, 8, 12, 20, 40)
    gate_users: int = Field(2_000, ge=1)
    onboarding: OnboardingConfig = OnboardingConfig()
    propensity_power: float = Field(0.0, ge=0, le=1)
    group_tilt: float = Field(0.0, ge=0, le=20)
    group_columns: tuple[str, ...] = ()
    popularity_penalty: _Strength | dict[_Shots, _Strength] = 0.0
    cold_norm: float = Field(0.0, ge=0, le=1)
