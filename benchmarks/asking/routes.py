"""What a tuned language model is compared with: fame in the scenario, and closed forms on vectors.

All see the same: the likes of the few users whose events of the unseen scenario are known, and
what the user in question has shown. The ridge also has what the training scenarios taught it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from warmstart.llm.lora import Adapter, ListScorer
from warmstart.recommenders.asked import Asked
from warmstart.recommenders.scenarios import Lists, Scenario

Array = np.ndarray[Any, Any]


def fame_of(support: Lists, n_items: int) -> Array:
    """Return (items,) how many of the support's users liked each item, as far as it shows."""
    pairs = {
        (user, item)
        for user, shown, asked, liked in zip(
            support.users, support.shown, support.candidates, support.liked, strict=True
        )
        for item in (*shown, *asked[liked])
    }
    return np.bincount([item for _, item in pairs], minlength=n_items).astype(np.float64)


def cosine(vectors: Array, lists: Lists) -> Array:
    """Return (lists, candidates) similarity to the mean of what is shown; `vectors` of length 1."""
    mean = vectors[lists.shown].mean(axis=1)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    found: Array = np.einsum("ucd,ud->uc", vectors[lists.candidates], mean)
    return found


def ridge(x: Array, y: Array, reg: float, towards: Array) -> Array:
    """Return the weights that minimise |y - x w|² + reg · |w - towards|²."""
    gram = x.T @ x + reg * np.eye(x.shape[1])
    found: Array = towards + np.linalg.solve(gram, x.T @ (y - x @ towards))
    return found


def examples_of(vectors: Array, lists: Lists) -> tuple[Array, Array]:
    """Return the candidates of lists as (examples, dim) vectors and whether they were liked."""
    x = vectors[lists.candidates].reshape(-1, vectors.shape[1])
    return x, lists.liked.ravel().astype(np.float64)


def hierarchical(
    vectors: Array,
    scenario: Scenario,
    prior: Array,
    support: Lists,
    lists: Lists,
    *,
    scenario_reg: float,
    user_reg: float,
) -> Array:
    """Return (lists, candidates) scores of a ridge per user towards that of the scenario.

    Args:
        vectors: (items, dim) of all items.
        scenario: whose items count as not liked where the user did not show them.
        prior: (dim,) weights from the training scenarios.
        support: lists of the scenario's few known users.
        lists: what is scored.
        scenario_reg: pull of the scenario towards the prior.
        user_reg: pull of the user towards the scenario.
    """
    shared = ridge(*examples_of(vectors, support), scenario_reg, prior)
    shelf = vectors[scenario.items]
    out = np.empty(lists.candidates.shape)
    for i, (shown, asked) in enumerate(zip(lists.shown, lists.candidates, strict=True)):
        liked = np.isin(scenario.items, shown).astype(np.float64)
        out[i] = vectors[asked] @ ridge(shelf, liked, user_reg, shared)
    return out


@torch.no_grad()
def title_log_probs(weights: Any, scorer: ListScorer, asked: Asked) -> Array:  # noqa: ANN401
    """Return (lists, candidates) mean log-probability of each candidate's tokens, no adapter."""
    nothing: Adapter = scorer.nothing()
    lists, out = asked.lists, []
    head = weights.model.get_output_embeddings().weight
    for i in range(len(asked)):
        one = lists.take([i])
        last = scorer.last_with(nothing, asked.hidden[[i]], one)[0]
        segment, ids = one.segment[0], one.ids[0]
        at = torch.nonzero(segment > 0).flatten()
        end_of_prompt = int((segment == 0).sum()) - 1
        before = torch.where(segment[at - 1] == segment[at], at - 1, end_of_prompt)
        log_probs = (last[before] @ head.T).float().log_softmax(-1)
        each = log_probs[torch.arange(len(at)), ids[at]].double()
        n = lists.ends.shape[1]
        total = torch.zeros(n, dtype=torch.double).index_add_(0, segment[at] - 1, each)
        count = torch.bincount(segment[at] - 1, minlength=n)
        out.append((total / count).numpy())
    return np.array(out)
