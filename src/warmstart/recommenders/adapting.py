"""The learners at serving time: from a history to a query vector, in NumPy.

The same arithmetic as `warmstart.meta` does on a `QueryVectorScorer`, its gradients written out,
so that a saved model serves without torch. Users of any number of events are adapted together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.types import FloatArray, Histories

Arrays = dict[str, npt.NDArray[Any]]
PER_ITEM = ("items", "bias", "events")
"""Arrays with one row for each item."""

_MOST_SOLVED = 200  # events in one solve; of longer histories the last ones count


@dataclass(frozen=True, slots=True)
class Queries:
    """What adaptation leaves of some users.

    Attributes:
        vectors: (users, dim) query vectors.
        trust: (users,) how much the bias counts.
    """

    vectors: FloatArray
    trust: FloatArray

    def scores(self, arrays: Arrays) -> FloatArray:
        """Return (users, items) scores."""
        out: FloatArray = self.vectors @ arrays["items"].T
        out += self.trust[:, None] * arrays["bias"]
        return out


def evidence_of(histories: Histories, n_items: int, dislike: float) -> sp.csr_array:
    """Return (users, items) what each event says: 1 for a like, -`dislike` · strength else."""
    said = np.where(histories.values > 0, 1.0, dislike * histories.values).astype(np.float32)
    shape = (len(histories), n_items)
    return sp.csr_array((said, histories.items, histories.indptr), shape=shape, copy=True)


def by_descent(
    arrays: Arrays,
    histories: Histories,
    *,
    dislike: float,
    shrinkage: float,
    steps: int,
    kind: int = 0,
) -> Queries:
    """Adapt by gradient descent on the likelihood of the support: MAML and its kin.

    Args:
        arrays: the scorer's tables, its start, and `step_size/NAME` of what moves.
        histories: the users.
        dislike: what a clear dislike weighs, against 1 for a like.
        shrinkage: of the likelihood.
        steps: of descent.
        kind: of task, where starts and step sizes are of several.
    """
    items, bias, map_ = arrays["items"], arrays["bias"], arrays["map"]
    n_users = len(histories)

    def start(name: str) -> npt.NDArray[Any]:
        own = np.asarray(arrays[name] if name in arrays else arrays[f"start/{name}"][kind])
        return np.broadcast_to(own, (n_users, *own.shape)).astype(np.float32)

    def step(name: str) -> npt.NDArray[Any]:
        size = np.asarray(arrays.get(f"step_size/{name}", 0), np.float32)
        return np.asarray(size[kind]) if f"start/{name}" in arrays else size

    query, trust, body = start("query"), start("trust"), _Body(map_, step("map"))
    told = _told(arrays, histories)
    shots = np.maximum(histories.shots + shrinkage, 1).astype(np.float32)
    said = evidence_of(histories, len(bias), dislike)
    said.data /= np.repeat(shots, np.diff(said.indptr))
    total = np.asarray(said.sum(axis=1), np.float32)
    pulled, pulled_bias = said @ items, said @ bias
    for _ in range(steps):
        base = query + told
        logits = body.applied(base) @ items.T
        logits += trust[:, None] * bias
        share = _softmax(logits)
        toward = total[:, None] * (share @ items) - pulled
        slope = total * (share @ bias) - pulled_bias
        back = body.applied_back(toward)
        body.descend(base, toward)
        query, trust = query - step("query") * back, trust - step("trust") * slope
    return Queries(body.applied(query + told), trust)


class _Body:
    """Each user's matrix after some steps: the shared one less a few outer products.

    While the step size is one number these are kept as they are; a matrix of every user's own is
    only written down where each of its entries has a step size of its own.
    """

    def __init__(self, shared: FloatArray, step: npt.NDArray[Any]) -> None:
        self.shared, self.step = shared, step
        self.pairs: list[tuple[FloatArray, FloatArray]] = []
        self.whole: FloatArray | None = None

    def applied(self, vectors: FloatArray) -> FloatArray:
        """Return each user's vector times their matrix."""
        if self.whole is not None:
            turned: FloatArray = np.matmul(vectors[:, None], self.whole)[:, 0]
            return turned
        turned = vectors @ self.shared
        for base, toward in self.pairs:
            turned -= (self.step * (vectors * base).sum(axis=1))[:, None] * toward
        return turned

    def applied_back(self, vectors: FloatArray) -> FloatArray:
        """Return each user's vector times their matrix transposed."""
        if self.whole is not None:
            turned: FloatArray = np.matmul(self.whole, vectors[:, :, None])[..., 0]
            return turned
        turned = vectors @ self.shared.T
        for base, toward in self.pairs:
            turned -= (self.step * (vectors * toward).sum(axis=1))[:, None] * base
        return turned

    def descend(self, base: FloatArray, toward: FloatArray) -> None:
        """Take one step: the gradient is the outer product of the two."""
        if not self.step.any():
            return
        if self.step.ndim == 0:
            self.pairs.append((base, toward))
            return
        before = self.shared if self.whole is None else self.whole
        self.whole = before - self.step * (base[:, :, None] * toward[:, None, :])


def by_closed_form(arrays: Arrays, histories: Histories, *, dislike: float) -> Queries:
    """Adapt by the posterior mean of a Bayesian linear regression."""
    items, map_, mean = arrays["items"], arrays["map"], arrays["query"]
    factor, noise = arrays["prior/factor"], np.exp(arrays["prior/log_noise"])
    told, shots = _told(arrays, histories), histories.shots
    query = np.repeat(mean[None], len(histories), axis=0).astype(np.float32)
    met, place = np.unique(histories.items, return_inverse=True)
    along_met = items[met] @ (map_.T @ factor)
    said = np.where(histories.values > 0, 1.0, dislike * histories.values)
    for k in np.unique(shots[shots > 0]):
        at = np.flatnonzero(shots == k)
        taken = min(int(k), _MOST_SOLVED)
        last = histories.indptr[at][:, None] + np.arange(k - taken, k)
        events = histories.items[last]
        along, before = along_met[place[last]], (told[at] + mean) @ map_
        residual = arrays["prior/target"] * said[last]
        residual = residual - np.einsum("usd,ud->us", items[events], before)
        gram = along @ along.swapaxes(1, 2) + noise**2 * np.eye(taken, dtype=np.float32)
        weights = np.linalg.solve(gram.astype(np.float64), residual[..., None])[..., 0]
        query[at] += np.einsum("usd,us->ud", along, weights) @ factor.T
    trust = np.full(len(histories), arrays["trust"], np.float32)
    return Queries((query + told) @ map_, trust)


def by_amortisation(arrays: Arrays, histories: Histories, *, dislike: float) -> Queries:
    """Adapt by one pass through the network that reads supports."""
    codes, dim = arrays.get("events", arrays["items"]), arrays["items"].shape[1]
    said = evidence_of(histories, len(codes), dislike)
    shots = histories.shots.astype(np.float32)[:, None]
    scale = 1 / np.sqrt(np.maximum(shots, 1))
    met = said.copy()
    met.data[:] = 1
    signed = scale * (said @ codes)
    if "reader/signed" in arrays:
        signed = signed @ arrays["reader/signed"]
    count = np.concatenate([np.log1p(shots), 1 / (1 + shots)], axis=1)
    count = np.tanh(count @ arrays["reader/count_in"] + arrays["reader/count_in_bias"])
    code = signed + (scale * (met @ codes)) @ arrays["reader/plain"]
    code = np.tanh(code + count @ arrays["reader/count_out"])
    written = (code @ arrays["reader/head"]).astype(np.float32)
    query = arrays["query"] + written[:, :dim] + _told(arrays, histories)
    return Queries(query @ arrays["map"], arrays["trust"] + written[:, dim])


def _told(arrays: Arrays, histories: Histories) -> FloatArray:
    """Return (users, dim) what the users' features say."""
    users = arrays["users"]
    if histories.features is None or not len(users):
        return np.zeros((len(histories), arrays["items"].shape[1]), np.float32)
    told: FloatArray = histories.features @ users
    return told


def _softmax(logits: FloatArray) -> FloatArray:
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits
