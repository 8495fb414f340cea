"""Settings of the learners, apart from them so that a served model reads them without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from warmstart.core.config import Config


class OuterConfig(Config):
    """Settings of the outer loop.

    Attributes:
        epochs: passes over the tasks; one episode per task and pass.
        batch_size: episodes per step.
        outer_lr: peak step size of AdamW under a one-cycle schedule.
        weight_decay: decay of the vectors of items and users.
        max_steps: bound on steps, so that a large data set trains in bounded time.
        sampled_items: catalogue size above which the softmax is sampled, and how many items.
        checks: how often validation looks at the weights over the second half of training.
    """

    epochs: int = Field(60, ge=1)
    batch_size: int = Field(256, ge=1)
    outer_lr: float = Field(4e-3, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    max_steps: int = Field(3_000, ge=1)
    sampled_items: int = Field(6_000, ge=1)
    checks: int = Field(6, ge=1)


class PolicyConfig(Config):
    """Settings of nDCG as the outer loss; see `warmstart.meta.ranking_policy`.

    Attributes:
        samples: lists drawn for each task; each is the baseline of the others.
        length: of the lists whose nDCG counts.
        temperature: below 1 the policy is sharper than the softmax of the scores.
        epochs: passes over the tasks, after those of the softmax loss.
        outer_lr: peak step size.
    """

    samples: int = Field(16, ge=2)
    length: int = Field(10, ge=1)
    temperature: float = Field(0.1, gt=0)
    epochs: int = Field(10, ge=1)
    outer_lr: float = Field(1e-3, gt=0)


class InnerConfig(Config):
    """Settings of gradient descent on a support set.

    Attributes:
        inner_steps: steps on the support.
        inner_lr: step size; where step sizes are learned, they start here.
    """

    inner_steps: int = Field(3, ge=1)
    inner_lr: float = Field(0.5, gt=0)


class FOMAConfig(InnerConfig):
    """Settings of FOMA.

    Attributes:
        kinds: how many kinds of task there are; each has a start and step sizes of its own.
    """

    kinds: int = Field(1, ge=1)


class AmortisedConfig(Config):
    """Settings of the amortised learner.

    Attributes:
        hidden_dim: width of the code of a support set.
        dropout: share of its units that are dropped in training.
    """

    hidden_dim: int = Field(300, ge=1)
    dropout: float = Field(0.4, ge=0, lt=1)


class ClosedFormConfig(Config):
    """Settings of the closed form; they are where the learned prior starts.

    Attributes:
        prior_scale: standard deviation of the head's weights before any event.
        noise: standard deviation of one label.
        logits: whether labels are 0 or 1 and predictions logits.
    """

    prior_scale: float = Field(1.0, gt=0)
    noise: float = Field(1.0, gt=0)
    logits: bool = False


class QuestionPolicyConfig(Config):
    """Settings of the training of a policy that asks questions.

    Attributes:
        updates: steps of the weights; 0 trains nothing.
        batch_users: users interviewed for one step.
        samples: interviews of each of them.
        questions: of one interview.
        outer_lr: step size of Adam at first; it falls to nothing.
        entropy: what a nat of the policy's entropy is worth at first; it falls, too.
        baseline: of REINFORCE.
        ranking: what a point of nDCG is worth beside a point of RMSE, 0 for RMSE alone.
        believed: share of the RMSE's reward that is what the belief expects it to be, which varies
            less than what it turns out to be.
        checks: how often validation users judge the weights.
    """

    updates: int = Field(60, ge=0)
    batch_users: int = Field(24, ge=1)
    samples: int = Field(4, ge=2)
    questions: int = Field(10, ge=1)
    outer_lr: float = Field(0.3, gt=0)
    entropy: float = Field(1e-3, ge=0)
    baseline: Literal["none", "leave-one-out"] = "leave-one-out"
    ranking: float = Field(0.6, ge=0)
    believed: float = Field(1.0, ge=0, le=1)
    checks: int = Field(5, ge=1)
