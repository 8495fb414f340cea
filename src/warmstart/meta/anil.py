"""ANIL: almost no inner loop. Only the head is adapted; the body is learned once for all tasks.

Reference: Raghu et al. 2020, arXiv:1909.09157.
"""

from __future__ import annotations

from warmstart.meta.learner import Problem
from warmstart.meta.maml import MAML


class ANIL(MAML):
    """MAML over the head alone, its meta-gradient exact."""

    def moved(self, problem: Problem) -> tuple[str, ...]:
        """Return the names of the head's parameters."""
        return problem.head
