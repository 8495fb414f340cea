"""Which adapters speak for a user: weights that sum to one, fitted on a few events, nothing else.

An event says how probable each adapter found what the user chose, among what they could have. The
weights are the mode of their posterior under a Dirichlet prior, found by expectation maximisation;
a user without events keeps the prior's mean.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]


def fit_gates(
    log_probs: Array,
    known: npt.NDArray[np.bool_] | None = None,
    *,
    prior: Array | float = 1.0,
    rounds: int = 200,
) -> npt.NDArray[np.float64]:
    """Return (users, adapters) weights, at least 0, that sum to 1.

    Maximises Σ_e log Σ_a w_a p_ea + Σ_a prior_a · log w_a: `prior` counts events, seen before
    any, that an adapter alone explains.

    Args:
        log_probs: (users, events, adapters) log-probability of each event under each adapter.
        known: (users, events) which events are real; None for all.
        prior: above 0, for all adapters or one number each.
        rounds: of expectation maximisation.

    Example:
        >>> first_knows = np.log([[[0.9, 0.1], [0.8, 0.1]], [[0.5, 0.5], [0.5, 0.5]]])
        >>> fit_gates(first_knows, prior=0.5).round(2).tolist()
        [[0.82, 0.18], [0.5, 0.5]]
    """
    users, events, adapters = log_probs.shape
    real = np.ones((users, events)) if known is None else known.astype(np.float64)
    counts = np.broadcast_to(np.asarray(prior, np.float64), (adapters,))
    best = log_probs.max(axis=-1, keepdims=True) if events else log_probs
    likely = np.exp(np.asarray(log_probs, np.float64) - best)
    weights = np.tile(counts / counts.sum(), (users, 1))
    total = real.sum(axis=1, keepdims=True) + counts.sum()
    for _ in range(rounds):
        joint = weights[:, None, :] * likely
        share = joint / np.maximum(joint.sum(axis=-1, keepdims=True), 1e-300)
        weights = ((share * real[..., None]).sum(axis=1) + counts) / total
    return weights


def mixed(scores: Array, weights: Array) -> npt.NDArray[np.float64]:
    """Return (users, candidates) log-probability of each candidate under the mixture.

    Args:
        scores: (users, adapters, candidates) log-odds of each adapter; each becomes a softmax
            over the candidates.
        weights: (users, adapters).

    Example:
        >>> mixed(np.log([[[0.8, 0.2], [0.4, 0.6]]]), np.array([[0.5, 0.5]])).round(3).tolist()
        [[-0.511, -0.916]]
    """
    shifted = np.asarray(scores, np.float64) - scores.max(axis=-1, keepdims=True)
    probs = np.exp(shifted)
    probs /= probs.sum(axis=-1, keepdims=True)
    return np.asarray(np.log(np.maximum(np.einsum("ua,uac->uc", weights, probs), 1e-300)))
