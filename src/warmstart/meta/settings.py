"""Settings of the learners, apart from them so that a served model reads them without torch."""

from __future__ import annotations

from pydantic import Field

from warmstart.core.config import Config


class AmortisedConfig(Config):
    """Settings of meta-training.

    Attributes:
        epochs: passes over the users; one episode per user and pass.
        batch_size: episodes per step.
        outer_lr: peak step size of AdamW under a one-cycle schedule.
        weight_decay: decay of the item and event vectors.
        max_steps: bound on steps, so that a large data set trains in bounded time.
        sampled_items: catalogue size above which the softmax is sampled, and how many items.
        checks: how often validation looks at the encoder over the second half of training.
    """

    epochs: int = Field(60, ge=1)
    batch_size: int = Field(256, ge=1)
    outer_lr: float = Field(4e-3, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    max_steps: int = Field(3_000, ge=1)
    sampled_items: int = Field(6_000, ge=1)
    checks: int = Field(6, ge=1)
