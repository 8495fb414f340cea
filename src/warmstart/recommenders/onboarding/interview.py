"""An interview: what is believed of some users after the questions so far. All at once, no loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from warmstart.core.types import FloatArray, IntArray
from warmstart.meta.linear_belief import Posterior
from warmstart.recommenders.onboarding.knowledge import Knowledge

_LEAST_CHANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Interview:
    """The state from which the next question is chosen.

    Attributes:
        taste: belief about how each user rates.
        met: belief about what each user has met.
        asked: (users, items) what was asked.
        number: how many questions each was asked.
    """

    taste: Posterior
    met: Posterior
    asked: npt.NDArray[np.bool_]
    number: int = 0

    @classmethod
    def start(cls, knowledge: Knowledge, n_users: int) -> Interview:
        """Return the interviews of users who were asked nothing."""
        return cls(
            knowledge.ratings.start(n_users),
            knowledge.seen.start(n_users),
            np.zeros((n_users, len(knowledge.counts)), bool),
        )

    def after(
        self,
        knowledge: Knowledge,
        items: IntArray,
        values: npt.NDArray[np.floating[Any]],
    ) -> Interview:
        """Return the interviews after one more question of each user.

        Args:
            knowledge: the priors.
            items: (users,) what was asked, or -1 where nothing was.
            values: (users,) the rating; NaN is "not seen".
        """
        asking, heard = items >= 0, (items >= 0) & np.isfinite(values)
        at = np.where(asking, items, 0)
        taste = knowledge.ratings.told(self.taste, at, np.where(heard, values, 0), heard)
        met = knowledge.seen.told(self.met, at, heard.astype(np.float32), asking)
        asked = self.asked.copy()
        asked[np.flatnonzero(asking), at[asking]] = True
        return Interview(taste, met, asked, self.number + 1)

    def chance_seen(self, knowledge: Knowledge) -> FloatArray:
        """Return (users, items) how likely it is that each user knows each item."""
        found: FloatArray = np.clip(knowledge.seen.expected(self.met), _LEAST_CHANCE, 1)
        return found

    def gain(self, knowledge: Knowledge) -> FloatArray:
        """Return (users, items) how much an answer would take from the variance of the ratings."""
        return knowledge.ratings.gain(self.taste, knowledge.target)

    def value(self, knowledge: Knowledge) -> FloatArray:
        """Return (users, items) how much asking is expected to take from what is unknown.

        The A-optimal gain times the chance of an answer. Where ratings do not differ, a like and a
        "not seen" are both answers, and what they tell is what the user tends to meet.
        """
        if not knowledge.divides:
            return knowledge.seen.gain(self.met, knowledge.target_seen)
        return self.gain(knowledge) * self.chance_seen(knowledge)

    def expected_rmse(self, knowledge: Knowledge) -> npt.NDArray[np.float64]:
        """Return (users,) the error of the expected ratings that the belief itself expects."""
        noise = float(knowledge.ratings.noise.mean())
        return np.sqrt(self.left(knowledge).astype(np.float64) + noise)

    def left(self, knowledge: Knowledge) -> FloatArray:
        """Return (users,) the variance that is left, which `value` is a part of."""
        belief, target = self.taste, knowledge.target
        if not knowledge.divides:
            belief, target = self.met, knowledge.target_seen
        found: FloatArray = np.einsum("ude,ed->u", belief.covariance, target)
        return found
