"""Items whose first users are known: what these say counts n/(n+τ), what the content says τ/(n+τ).

A user's vector is the mean of the item vectors (singular vectors of the likes) of what else they
like, an item's the mean of those who like it. That mean is one more block of content, the further
from the mean of all items the more users it is of (n/(n+τ) again, for a mean of few is mostly
chance). Ridge regression from all
blocks gives a matrix N of the same kind as content alone, so one mixture of two matrices places an
item in every part of a model, and nothing is trained.

The weight of the block and τ are those that rank best an inner set of items that are made cold and
hear 1, 5 and 20 users. There an item's score is N times the scores of the items that lend, which
is what a model's score is but for the few parts of it that are not linear in the items.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.linalg as la
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from warmstart.core.errors import ConfigError
from warmstart.core.rng import generator
from warmstart.core.room import longer, roomy, with_room
from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.data.content import Block
from warmstart.evaluation.metrics import ndcg
from warmstart.index import top_k
from warmstart.recommenders.content import ContentMap

_NAME = "warmstart:first users"
_WEIGHTS, _TAUS, _ASKED = (0.25, 0.5, 1.0), (2.0, 5.0, 10.0, 20.0, 40.0), (1, 5, 20)
_PENALTY = 30.0  # where there is no content to choose one with
_INNER_ITEMS, _INNER_USERS, _INNER_SPEAKERS, _INNER_COLD = 2_500, 500, 20_000, 0.2
_DIM = 128
_FEWEST = 20  # items; fewer cannot teach anything
_AT_ONCE = 65_536


@dataclass(frozen=True)
class FirstUsers:
    """What the users of each item are like.

    Attributes:
        lenders: (lenders,) indices of the items with likes, which lend.
        embedding: (lenders, dim) item vectors, of which users are means.
        vectors: (items, dim) mean vector of those who like an item.
        n: (items,) how many that are; 0 of an item that nobody has been heard of.
        weight: of the vectors, beside the blocks of content.
        tau: τ, the number of users who count as much as the content.
        quality: nDCG@10 on the items that were made cold, by number of users; 0 for content alone.
    """

    lenders: IntArray
    embedding: FloatArray
    vectors: FloatArray
    n: npt.NDArray[np.int64]
    weight: float
    tau: float
    quality: Mapping[str, float]

    @classmethod
    def learn(
        cls,
        content: ContentMap | None,
        likes: sp.csr_array,
        score: Callable[[Histories], FloatArray],
        *,
        seed: int = 0,
    ) -> Self | None:
        """Choose weight and τ; None where nothing can be learned.

        Args:
            content: how items borrow by content, or None.
            likes: (users, items) ones where a training user likes an item.
            score: scores of the model.
            seed: which items are made cold, and whom they hear.
        """
        lenders = np.flatnonzero(np.bincount(likes.indices, minlength=likes.shape[1]) > 0)
        if len(lenders) < _FEWEST:
            return None
        met = sp.csr_array(likes[:, lenders])
        embedding = _embedded(met)
        vectors = with_room(np.zeros((likes.shape[1], embedding.shape[1]), np.float32))
        n = np.zeros(len(vectors), np.int64)
        vectors[lenders], n[lenders] = _met(met, embedding)
        found = cls(lenders, embedding, vectors, n, _WEIGHTS[1], _TAUS[2], {})
        inner = _Inner.draw(likes, lenders, generator(seed, "first users"))
        return found if inner is None else found._chosen(inner, content, likes, score)

    def heard(self, items: IntArray, likes: sp.csr_array) -> Self:
        """Return the same with the first users of some items; what was heard before is replaced.

        Args:
            items: (new items,) indices of items that do not lend.
            likes: (users, items) what these users like, of the new items and of the others.
        """
        vectors, n = with_room(self.vectors), self.n.copy()
        known = sp.csr_array(likes[:, self.lenders])
        asked = sp.csr_array(likes[:, items])
        vectors[items], n[items] = _means(asked, known, self.embedding)
        return self._with(vectors, n)

    def lend(self, items: IntArray, content: ContentMap | None) -> FloatArray:
        """Return (items, lenders) weights N of items that do not lend.

        Args:
            items: their indices.
            content: how items borrow by content, or None where only users are heard.
        """
        said = np.zeros((len(items), len(self.lenders)), np.float32)
        if content is not None:
            said = content.lend(content.of(items))
        n = self.n[items].astype(np.float32)
        some = np.flatnonzero(n > 0)
        if len(some):
            joint = self._beside(content)
            own = joint.lend(dict(joint.of(items[some])) | {_NAME: self._shrunk(items[some])})
            trust = (n[some] / (n[some] + np.float32(self.tau)))[:, None]
            said[some] = (1 - trust) * said[some] + trust * own
        return said

    def grown(self, n_new: int) -> Self:
        """Return the same for a catalogue with `n_new` further items, unheard."""
        return self._with(longer(self.vectors, n_new), np.pad(self.n, (0, n_new)))

    def about(self) -> dict[str, Any]:
        """Return what the arrays do not say, as plain values."""
        return {"weight": self.weight, "tau": self.tau, "quality": dict(self.quality)}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that must be saved, by name."""
        return {
            "first_users.lenders": self.lenders.astype(np.int64),
            "first_users.embedding": self.embedding,
            "first_users.vectors": self.vectors,
            "first_users.n": self.n,
        }

    @classmethod
    def restored(
        cls, about: dict[str, Any] | None, arrays: Mapping[str, npt.NDArray[Any]], n_items: int
    ) -> Self | None:
        """Rebuild from `about` and `arrays`, or None where there is none.

        Raises:
            ValueError: they are not of a catalogue of `n_items`.
        """
        if about is None:
            return None
        names = ("lenders", "embedding", "vectors", "n")
        lenders, embedding, vectors, n = (arrays[f"first_users.{name}"] for name in names)
        within = len(lenders) > 0 and 0 <= lenders.min() and lenders.max() < n_items
        shapes = embedding.shape, vectors.shape, n.shape
        dim = vectors.shape[-1]
        if not within or shapes != ((len(lenders), dim), (n_items, dim), (n_items,)):
            raise ValueError(f"the first users are not those of {n_items} items")
        weight, tau = float(about["weight"]), float(about["tau"])
        if (n < 0).any() or not tau > 0:
            raise ValueError("the first users are of negative number")
        return cls(lenders, embedding, roomy(vectors), n, weight, tau, about["quality"])

    def _beside(self, content: ContentMap | None) -> ContentMap:
        """Return the map of the content and, beside it, of the users; kept for the same content."""
        kept = self.__dict__.get("_joint")
        if kept is not None and kept[0] is content:
            return kept[1]  # type: ignore[no-any-return]
        self.__dict__["_joint"] = content, self._joined(content)
        return self._beside(content)

    def _with(self, vectors: FloatArray, n: npt.NDArray[np.int64]) -> Self:
        """Return the same with other vectors for items that do not lend."""
        other = replace(self, vectors=vectors, n=n)
        other.__dict__["_joint"] = self.__dict__.get("_joint")  # the lenders are the same
        return other

    def _joined(self, content: ContentMap | None) -> ContentMap:
        if content is None:
            content = ContentMap({}, self.lenders, {}, _PENALTY, 0.0)
        block = Block(self.vectors, self.n > 0)
        return replace(
            content,
            content=dict(content.content) | {_NAME: block},
            weights=dict(content.weights) | {_NAME: self.weight},
        )

    def _shrunk(self, items: IntArray) -> Block:
        heard = self.lenders[self.n[self.lenders] > 0]
        mean, n = self.vectors[heard].mean(axis=0), self.n[items, None].astype(np.float32)
        moved = n / (n + np.float32(self.tau)) * (self.vectors[items] - mean)
        return Block(mean + moved, self.n[items] > 0)

    def _chosen(
        self,
        inner: _Inner,
        content: ContentMap | None,
        likes: sp.csr_array,
        score: Callable[[Histories], FloatArray],
    ) -> Self:
        """Return the same with the weight and τ that rank the inner cold items best."""
        warm, cold = inner.warm, inner.cold
        shown = sp.csr_array(inner.judged[:, warm])
        events = Histories(
            shown.indptr.astype(np.int64), warm[shown.indices].astype(np.int32), shown.data
        )
        scores = score(events)[:, warm]
        scores = scores - scores.mean(axis=1, keepdims=True)
        relevant = sp.csr_array(inner.judged[:, cold])
        penalty = _PENALTY if content is None else content.penalty
        gram = np.zeros((len(warm), len(warm)), np.float32)
        across = np.zeros((len(cold), len(warm)), np.float32)
        if content is not None:
            rows = content.rows(warm)
            gram, across = rows @ rows.T, content.rows(cold) @ rows.T
        met = sp.csr_array(likes[:, warm])
        embedding = _embedded(met)  # one that knows nothing of the cold items
        lending, _ = _met(met, embedding)
        centre = lending.mean(axis=0)
        lending -= centre
        scale = np.float32(1 / np.sqrt(max(np.square(lending).sum(axis=1).mean(), 1e-9)))
        known = sp.csr_array(inner.speakers[:, warm])
        heard = {
            k: _means(inner.first(k), known, embedding)[0] - centre for k in _ASKED
        }  # of nobody: zero, less the centre

        def ranked(of_cold: Any) -> float:  # noqa: ANN401  ((users, cold) scores)
            top, _ = top_k(np.asarray(of_cold, np.float32), 10)
            return float(ndcg(top, relevant, 10).mean())

        def lent(gram: FloatArray, *across: FloatArray) -> list[FloatArray]:
            """Return (users, cold) scores that each of (cold, warm) kernels lends."""
            factor = la.cho_factor(gram + np.float32(penalty) * np.eye(len(gram), dtype=np.float32))
            return [scores @ la.cho_solve(factor, a.T, check_finite=False) for a in across]

        (by_content,) = lent(gram, across)
        alone, best = ranked(by_content), self
        top = -np.inf
        for weight in _WEIGHTS:
            size = np.float32(weight**2) * scale**2
            users = [size * (heard[k] * (inner.count(k) > 0)[:, None]) @ lending.T for k in _ASKED]
            joint, *by_users = lent(gram + size * (lending @ lending.T), across, *users)
            for tau in _TAUS:
                quality = {"0": alone}
                for k, said in zip(_ASKED, by_users, strict=True):
                    trust = inner.count(k) / (inner.count(k) + np.float32(tau))
                    own = joint + trust * said
                    quality[str(k)] = ranked((1 - trust) * by_content + trust * own)
                if sum(quality.values()) > top:
                    top = sum(quality.values())
                    best = replace(self, weight=weight, tau=tau, quality=quality)
        return best


def lent(items: IntArray, content: ContentMap | None, users: FirstUsers | None) -> FloatArray:
    """Return (items, lenders) weights N of unmet items, by their content and their first users."""
    if users is not None:
        return users.lend(items, content)
    assert content is not None
    return content.lend(content.of(items))


def hearing(users: FirstUsers | None) -> FirstUsers:
    """Return what was learned of first users.

    Raises:
        ConfigError: nothing.
    """
    if users is None:
        raise ConfigError(
            "the model has not learned to hear the first users of an item: it was trained by an "
            "older warmstart or on too few items; train it again"
        )
    return users


@dataclass(frozen=True)
class _Inner:
    """Items made cold, users who are judged on them, and the users whom they hear.

    Attributes:
        warm: (warm,) items that lend.
        cold: (cold,) items that are made cold.
        judged: (judged users, items) their likes.
        speakers: (other users, items) their likes.
        rank: (other users, cold) place of each user among those who like an item, from 1.
    """

    warm: IntArray
    cold: IntArray
    judged: sp.csr_array
    speakers: sp.csr_array
    rank: sp.csr_array

    @classmethod
    def draw(cls, likes: sp.csr_array, lenders: IntArray, rng: np.random.Generator) -> Self | None:
        """Draw the items and the users; None where nobody can be judged or heard."""
        chosen = np.sort(rng.permutation(lenders)[:_INNER_ITEMS])
        made_cold = rng.random(len(chosen)) < _INNER_COLD
        warm, cold = chosen[~made_cold], chosen[made_cold]
        shown, asked = (np.diff(sp.csr_array(likes[:, i]).indptr) > 0 for i in (warm, cold))
        both = rng.permutation(np.flatnonzero(shown & asked))
        judged = np.sort(both[: min(_INNER_USERS, len(both) // 2)])
        others = rng.permutation(np.setdiff1d(np.flatnonzero(shown), judged))[:_INNER_SPEAKERS]
        if not len(judged) or not len(others) or not len(warm):
            return None
        speakers = sp.csr_array(likes[np.sort(others)])
        rank = sp.csc_array(speakers[:, cold])
        for start, stop in zip(rank.indptr[:-1], rank.indptr[1:], strict=True):
            rank.data[start:stop] = 1 + rng.permutation(stop - start)
        return cls(warm, cold, sp.csr_array(likes[judged]), speakers, sp.csr_array(rank))

    def first(self, k: int) -> sp.csr_array:
        """Return (other users, cold) ones at the first `k` users of each item."""
        found = self.rank.tocoo()
        keep = found.data <= k
        row, col = (c[keep] for c in found.coords)
        return sp.csr_array((np.ones(len(row), np.float32), (row, col)), shape=self.rank.shape)

    def count(self, k: int) -> FloatArray:
        """Return (cold,) how many of the first `k` users there are."""
        return np.bincount(self.first(k).indices, minlength=len(self.cold)).astype(np.float32)


def _embedded(likes: sp.csr_array) -> FloatArray:
    """Return (items, dim) singular vectors of (users, items) likes, the small ones drawn level."""
    size = np.sqrt(np.maximum(np.diff(likes.indptr), 1)).astype(np.float32)
    weighed = sp.csr_array(sp.diags_array(1 / size) @ likes)
    dim = min(_DIM, min(likes.shape) - 1)
    start = np.ones(min(likes.shape), np.float32)  # whatever it is, but always the same
    _, values, rows = svds(weighed, k=dim, v0=start)
    return np.asarray(rows.T / np.sqrt(np.maximum(values, 1e-6)), np.float32)


def _met(likes: sp.csr_array, embedding: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return (items, dim) mean vectors of those who like an item, by what *else* they like.

    Args:
        likes: (users, items).
        embedding: (items, dim).
    """
    out = np.zeros_like(embedding)
    less = np.zeros(len(embedding), np.float32)
    n = np.zeros(len(embedding), np.int64)
    for start in range(0, likes.shape[0], _AT_ONCE):
        some = likes[start : start + _AT_ONCE]
        others = np.diff(some.indptr) - 1
        per = np.where(others > 0, 1 / np.maximum(others, 1), 0).astype(np.float32)
        out += some.T @ ((some @ embedding) * per[:, None])
        less += some.T @ per
        n += (some.T @ (others > 0).astype(np.float32)).round().astype(np.int64)
    out -= less[:, None] * embedding
    out /= np.maximum(n, 1)[:, None].astype(np.float32)
    return out, n


def _means(
    asked: sp.csr_array, known: sp.csr_array, embedding: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Return (items, dim) mean vectors of those who like an item, and how many they are.

    Args:
        asked: (users, items) who likes the items.
        known: (users, known items) what else these users like; who likes none is not heard.
        embedding: (known items, dim).
    """
    size = np.diff(known.indptr)
    users = (known @ embedding) / np.maximum(size, 1)[:, None].astype(np.float32)
    of = sp.csr_array(asked.T)[:, size > 0]
    n = np.diff(sp.csr_array(of).indptr)
    means = (of @ users[size > 0]) / np.maximum(n, 1)[:, None].astype(np.float32)
    return np.asarray(means, np.float32), n.astype(np.int64)
