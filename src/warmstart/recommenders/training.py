"""Meta-training of the default model, in folds, so that the gates see only honest scores.

For each fold of the training users: train the encoder, the belief and the memories without it,
then let the parts score the fold's users at each number of shots. The gates are chosen on those
out-of-fold scores. What is served: the encoders of all folds side by side (each user taught all
but one of them), and the closed forms refitted on everybody, which cost nothing to refit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.errors import MissingExtraError
from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, Histories, IntArray, Progress
from warmstart.evaluation import metrics
from warmstart.index import top_k
from warmstart.meta.belief import learn_belief
from warmstart.meta.episodes import draw_episodes
from warmstart.meta.remedies import propensity_weights, tilted
from warmstart.recommenders.exams import Exam, draw_exams, mean_ndcg
from warmstart.recommenders.gates import LENGTH, Gates, Shortlist, choose_weights
from warmstart.recommenders.ials import IALS, IALSConfig
from warmstart.recommenders.memory import learn_memories
from warmstart.recommenders.parts import FACTORS, FIRST_CLOSED, FIRST_FACTORS, Parts, empty
from warmstart.recommenders.popularity import liked
from warmstart.recommenders.query import QueryEncoder
from warmstart.recommenders.recency import Recency, learn_recency
from warmstart.recommenders.trust import UNLEARNED, learn_trust
from warmstart.recommenders.words import asked_for

if TYPE_CHECKING:
    from warmstart.models.set_encoder import SetEncoder
    from warmstart.recommenders.checkpoint import Checkpoint
    from warmstart.recommenders.default_config import DefaultConfig

_FEWEST_USERS = 30  # with fewer users to practise on, no encoder and no gates are trained
_SCORES_AT_ONCE = 1 << 23  # of one part, when the gates are chosen: 32 MB
_FEWEST_JUDGED = 50  # users at a number of shots, for gates to be chosen there
_MOST_SUPPORTS = 4  # of one user, when the gates are chosen
_FACTOR_SHOTS = ((1, 3), (10, 20))  # what the factors for few shots and for many are chosen at
_ASKED = 2_000  # users whose queries say in which directions an ensemble is narrowed


@dataclass(frozen=True, slots=True)
class Trained:
    """What meta-training gives.

    Attributes:
        parts: the fitted parts.
        gates: their weights at each number of shots.
        quality: nDCG@10 on out-of-fold training users by number of shots: gates, then each part;
            as the gates weigh likes and users.
        trust: how much taste counts beside a wish.
        held: parts of each fold, and users whom they have not seen.
    """

    parts: Parts
    gates: Gates
    quality: list[dict[str, Any]]
    trust: Gates = UNLEARNED
    held: Sequence[tuple[Parts, IntArray]] = ()


def meta_train_default(
    evidence: sp.csr_array,
    features: sp.csr_array | None,
    times: sp.csr_array | None,
    config: DefaultConfig,
    *,
    seed: int,
    likeness: sp.csr_array | None = None,
    topics: Sequence[sp.csr_array] = (),
    groups: sp.csr_array | None = None,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Train every part and the gates.

    Args:
        evidence: (users, items) signed evidence of the training users.
        features: (users, user features) or None.
        times: (users, items) seconds since the epoch, entry by entry of `evidence`, or None.
        likeness: (items, items) of content, one more memory; or None.
        topics: (items, values) categories that users may ask for.
        groups: (users, groups) ones where a user belongs to a group, or None.
        config: settings.
        seed: the same seed gives the same model.
        progress: told how far training has come.
        checkpoint: where to keep the encoders' training, and to continue it from.
    """
    likes = _likes(evidence)
    counts = np.diff(likes.indptr)
    able = np.flatnonzero(counts >= 2)
    rng = generator(seed, "folds")
    dated = None if times is None else _Dated.of(evidence, times)
    parts = _closed_parts(likes, config, likeness)
    if len(able) < _FEWEST_USERS:
        return Trained(parts, _untrained_gates(parts), [])
    n_folds = config.folds or (5 if len(able) < 3_000 else 3)
    folds = np.array_split(rng.permutation(able), n_folds)
    steps = _Steps(n_folds, progress)
    encoders, held, kept_of = [], [], []
    for number, fold in enumerate(folds):
        kept = np.ones(len(counts), bool)
        kept[fold] = False
        judged = fold[: max(1, config.gate_users // n_folds)]
        encoder = _train_encoder(
            evidence,
            features,
            np.flatnonzero(kept & (counts >= 2)),
            judged,
            config,
            groups=groups,
            seed=seed,
            number=number,
            on_step=steps.of(number),
            checkpoint=checkpoint,
        )
        encoders.append(encoder)
        closed = _closed_parts(likes[kept], config, likeness)
        fold_parts = replace(closed, encoder=_ensemble([encoder]))
        held.append((fold_parts, judged))
        kept_of.append(kept)
    chosen, of_folds = _choose_factors(held, kept_of, likes, config, seed=seed)
    held = [
        (replace(p, factors=factors), judged)
        for (p, judged), factors in zip(held, of_folds, strict=True)
    ]
    parts = replace(parts, factors=tuple(IALS(c).fit_likes(likes, seed=seed) for c in chosen))
    parts = replace(parts, encoder=_narrowed(_ensemble(encoders), likes, features, seed=seed))
    share = None
    if dated is not None:
        share = _choose_recency(held, kept_of, dated, likes, config, seed=seed)
    if dated is not None and share is not None:
        held = [
            (replace(p, recency=dated.recency(p.log_popularity, share, kept)), judged)
            for (p, judged), kept in zip(held, kept_of, strict=True)
        ]
        parts = replace(parts, recency=dated.recency(parts.log_popularity, share))
    gates, quality, scales = _fit_gates(held, likes, features, dated, config, groups, seed=seed)
    held = [(replace(p, scales=scales), who) for p, who in held]
    tastes = [(partial(combined, p, gates), who) for p, who in held]
    trust = learn_trust(tastes, topics, asked_for, likes, features, seed=seed)
    return Trained(replace(parts, scales=scales), gates, quality, trust, held)


@dataclass(frozen=True, slots=True)
class _Dated:
    """When the training users liked what.

    Attributes:
        user, item, time: of each like.
        arrival: (users,) time of the first event; NaN where there is none.
    """

    user: IntArray
    item: IntArray
    time: npt.NDArray[np.float64]
    arrival: npt.NDArray[np.float64]

    @classmethod
    def of(cls, evidence: sp.csr_array, times: sp.csr_array) -> _Dated | None:
        """Collect the likes; None where times are missing."""
        user = np.repeat(np.arange(evidence.shape[0]), np.diff(evidence.indptr))
        liked = evidence.data > 0
        if not liked.any() or np.isnan(times.data).any():
            return None
        arrival = np.full(evidence.shape[0], np.inf)
        np.minimum.at(arrival, user, times.data)
        return cls(user[liked], evidence.indices[liked], times.data[liked], arrival)

    def recency(
        self, log_popularity: FloatArray, share: float, kept: npt.NDArray[np.bool_] | None = None
    ) -> Recency:
        """Return the rise of each item among the users kept."""
        who = slice(None) if kept is None else kept[self.user]
        return learn_recency(self.item[who], self.time[who], log_popularity, share=share)


def _say(
    users: IntArray, likes: sp.csr_array, dated: _Dated | None, config: DefaultConfig
) -> npt.NDArray[np.float64]:
    """Return (users,) how much each user's nDCG counts in choosing the gates; sums to 1.

    A user counts by the number of their likes to the power `activity`; where times are known,
    half of the say goes to the newest users.
    """
    say: npt.NDArray[np.float64] = np.diff(likes.indptr)[users] ** float(config.activity)
    say /= say.sum()
    if dated is None:
        return say
    arrival = dated.arrival[users]
    newest = say * (arrival >= np.quantile(arrival, 1 - config.newest_share))
    say = 0.5 * say + 0.5 * newest / newest.sum()
    return say


def _choose_recency(
    held: list[tuple[Parts, IntArray]],
    kept_of: list[npt.NDArray[np.bool_]],
    dated: _Dated,
    likes: sp.csr_array,
    config: DefaultConfig,
    *,
    seed: int,
) -> float | None:
    """Return the age that, added to popularity, ranks best at zero shots; None if none helps."""
    marks = dict.fromkeys((None, *config.recent_shares), 0.0)
    for number, (parts, judged) in enumerate(held):
        users, support, query = draw_exams(likes, judged, None, (0,), seed, f"recency{number}")[0]
        for share in marks:
            scores = parts.log_popularity
            if share is not None:
                kept = kept_of[number]
                scores = scores + dated.recency(scores, share, kept).rise
            top, _ = top_k(np.broadcast_to(scores, query.shape), LENGTH, seen=support)
            marks[share] += float(
                _say(users, likes, dated, config) @ metrics.ndcg(top, query, LENGTH)
            )
    return max(marks, key=lambda share: marks[share])


def _choose_factors(
    held: list[tuple[Parts, IntArray]],
    kept_of: list[npt.NDArray[np.bool_]],
    likes: sp.csr_array,
    config: DefaultConfig,
    *,
    seed: int,
) -> tuple[list[IALSConfig], list[tuple[IALS, ...]]]:
    """Return the settings that rank best at few shots and at many, and each fold's factors.

    One setting, where the same is best at both; none, where there is none to choose from.
    """
    fitted = [
        [IALS(settings).fit_likes(likes[kept], seed=seed) for settings in config.factors]
        for kept in kept_of
    ]
    marks: npt.NDArray[np.float64] = np.zeros((len(FACTORS), len(config.factors)))
    for (_, judged), models in zip(held, fitted, strict=True):
        for row, shots in enumerate(_FACTOR_SHOTS):
            for able, support, query in draw_exams(
                likes, judged, None, shots, seed, "factors"
            ).values():
                shown = liked(support, likes.shape[1])
                marks[row] += [
                    len(able) * mean_ndcg(m.fold_in(shown) @ m.factors.T, support, query)
                    for m in models
                ]
    best = dict.fromkeys(int(i) for i in marks.argmax(axis=1)) if config.factors else {}
    return [config.factors[i] for i in best], [tuple(models[i] for i in best) for models in fitted]


def _like_weight(
    counts: npt.NDArray[np.floating], config: DefaultConfig
) -> npt.NDArray[np.float32] | None:
    """Return (items,) what a like weighs in the outer losses; None where all weigh alike."""
    if not config.propensity_power:
        return None
    return propensity_weights(counts, config.propensity_power)


def _likes(evidence: sp.csr_array) -> sp.csr_array:
    likes = evidence.copy()
    likes.data = (likes.data > 0).astype(np.float32)
    likes.eliminate_zeros()
    return likes


def _closed_parts(
    likes: sp.csr_array, config: DefaultConfig, likeness: sp.csr_array | None
) -> Parts:
    """Fit everything that has a closed form."""
    n_items = likes.shape[1]
    counts = np.asarray(likes.sum(axis=0)).ravel()
    share = (counts + config.popularity_prior) / (counts.sum() + config.popularity_prior * n_items)
    neighbours = None if n_items <= config.dense_items else config.memory.neighbours
    memories = learn_memories(likes, config.memory)
    if likeness is not None:
        memories["content"] = likeness
    return Parts(
        encoder=None,
        log_popularity=np.log(share).astype(np.float32),
        recency=None,
        factors=(),
        belief=learn_belief(likes, config.closed_form, neighbours=neighbours),
        closed_form=config.closed_form,
        powers=config.powers,
        memories=memories,
        scales=np.ones(FIRST_CLOSED + len(config.powers) + len(memories), np.float32),
        dislike=config.memory_dislike,
        lent=empty(n_items),
    )


def _untrained_gates(parts: Parts) -> Gates:
    """Return what is sensible without anybody to learn from: popularity, then the closed form."""
    weights = np.zeros((2, len(parts.names)), np.float32)
    weights[0, parts.names.index("popularity")] = 1e-3
    weights[1, FIRST_CLOSED] = 1.0
    return Gates(np.array([0, 1], np.float32), weights)


def _train_encoder(
    evidence: sp.csr_array,
    features: sp.csr_array | None,
    users: IntArray,
    judged: IntArray,
    config: DefaultConfig,
    *,
    groups: sp.csr_array | None,
    seed: int,
    number: int,
    on_step: Callable[[int, int, float], None],
    checkpoint: Checkpoint | None,
) -> SetEncoder:
    try:
        import torch

        from warmstart.meta.encoder import meta_train
        from warmstart.models.set_encoder import SetEncoder
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", extra="train") from None
    likes = _likes(evidence[users])
    counts = np.asarray(likes.sum(axis=0)).ravel() + config.popularity_prior
    signed = bool((evidence.data < 0).any())
    with torch.random.fork_rng():
        torch.manual_seed(generator(seed, "encoder", number).integers(2**31))
        encoder = SetEncoder(
            torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32)),
            n_features=0 if features is None else features.shape[1],
            hidden_dim=config.hidden_dim,
            embedding_dim=config.embedding_dim,
            dropout=config.dropout,
            feature_dropout=config.feature_dropout,
            signed=signed,
        )

        def draw(rng: np.random.Generator, size: int) -> Any:  # noqa: ANN401
            return draw_episodes(
                evidence,
                rng.choice(users, size, replace=False),
                rng,
                max_shots=config.max_shots,
                features=features,
                dislike_share=config.dislike_share if signed else 0.0,
                groups=groups,
            )

        exams = draw_exams(
            _likes(evidence), judged, features, (1, 3, 10, 20), seed, f"exam{number}"
        )

        def validate(encoder: SetEncoder) -> float:
            model = _ensemble([encoder])
            marks = [
                mean_ndcg(model.queries(support) @ model.items.T + model.bias, support, query)
                for _, support, query in exams.values()
            ]
            return float(np.mean(marks))

        name = f"encoder-{number}"
        return meta_train(
            encoder,
            draw,
            len(users),
            config.training,
            rng=generator(seed, "episodes", number),
            like_weight=_like_weight(counts, config),
            group_tilt=config.group_tilt,
            validate=validate if exams else None,
            on_step=on_step,
            resume=None if checkpoint is None else checkpoint.stored(name),
            on_check=None if checkpoint is None else partial(checkpoint.store, name),
        )


def _fit_gates(
    held: list[tuple[Parts, IntArray]],
    likes: sp.csr_array,
    features: sp.csr_array | None,
    dated: _Dated | None,
    config: DefaultConfig,
    groups: sp.csr_array | None,
    *,
    seed: int,
) -> tuple[Gates, list[dict[str, Any]], FloatArray]:
    """Choose the weights at each number of shots on users that the parts have not seen."""
    names = held[0][0].names
    n_judged = sum(len(judged) for _, judged in held)
    n_supports = min(max(1, config.gate_users // max(n_judged, 1)), _MOST_SUPPORTS)
    exams = []
    for i, (parts, judged) in enumerate(held):
        for again in range(n_supports):
            # nobody has a second empty support: the same answer twice would pass for two
            shots = tuple(k for k in config.gate_shots if k or not again)
            name = f"gates{i}-{again}"
            exams.append((parts, draw_exams(likes, judged, features, shots, seed, name)))
    least = {k: _FEWEST_JUDGED * (n_supports if k else 1) for k in config.gate_shots}
    knots = [
        k for k, n in least.items() if sum(len(exam[k][1]) for _, exam in exams if k in exam) >= n
    ]
    scales = _scales(*exams[0], knots)
    counts = np.asarray(likes.sum(axis=0)).ravel() + config.popularity_prior
    worth = _like_weight(counts, config)
    weights, quality = [], []
    encoder, popularity = np.eye(len(names), dtype=np.float32)[:2]
    start, doubted = encoder, [i for i, name in enumerate(names) if name == "content"]
    for k in knots:
        lists, who = [], []
        for parts, exam in exams:
            if k not in exam:
                continue
            able, support, query = exam[k]
            scaled = replace(parts, scales=scales)
            if worth is not None:
                query.data = worth[query.indices]
            for block in _blocks(len(able), query.shape[1]):
                shown = support.take(block)
                lists.append(Shortlist.of(scaled.scores(shown), shown, query[block]))
            who.append(able)
        shortlist = _joined(lists)
        asked = np.concatenate(who)
        say = _say(asked, likes, dated, config)
        if groups is not None and config.group_tilt:
            before = shortlist.ndcg(shortlist.scores @ (start if k else popularity))
            say = say * tilted(groups[asked], 1 - before, config.group_tilt)
            say /= say.sum()
        shortlist = replace(shortlist, weight=say)
        if k:
            # the next shots start from here; content must prove that it helps where nobody is new
            start, best = choose_weights(shortlist, start, doubted=doubted)
        else:  # where little can be known, popularity stays unless something is surely better
            chosen, best = choose_weights(shortlist, popularity, certainty=2.0)
        weights.append(start if k else chosen)
        alone = {
            n: float(shortlist.weight @ shortlist.ndcg(shortlist.scores[:, :, i]))
            for i, n in enumerate(names)
        }
        quality.append({"shots": k, "users": len(np.unique(asked)), "ndcg@10": best, **alone})
    if not knots:
        return _untrained_gates(held[0][0]), [], scales
    return Gates(np.array(knots, np.float32), np.stack(weights)), quality, scales


def combined(parts: Parts, gates: Gates, histories: Histories) -> FloatArray:
    """Return (users, items) scores of the parts under the gates."""
    out = np.zeros((len(histories), len(parts.log_popularity)), np.float32)
    for block in _blocks(len(histories), out.shape[1]):
        some = histories.take(block)
        for weight, scores in zip(gates.at(some.shots).T, parts.scores(some), strict=True):
            out[block] += weight[:, None] * scores
    return out


def _scales(parts: Parts, exam: dict[int, Exam], knots: list[int]) -> FloatArray:
    """Return what brings the top scores of each part near 1; the logits stay as they are."""
    scales = np.ones(len(parts.names), np.float32)
    middle = [k for k in knots if k > 0 and k in exam]
    if middle:
        able, support, query = exam[middle[len(middle) // 2]]
        first = _blocks(len(able), query.shape[1])[0]
        for i, part in enumerate(parts.scores(support.take(first))):
            if i >= FIRST_FACTORS:
                depth = min(20, part.shape[1])
                top = np.partition(part, part.shape[1] - depth, axis=1)[:, -depth:]
                level = float(np.median(top.mean(axis=1)))
                scales[i] = level if level > 1e-12 else 1.0  # a part that is absent says 0
    return scales


def _blocks(n_users: int, n_items: int) -> list[IntArray]:
    """Cut users into blocks, so that the parts' scores of a large catalogue fit into memory."""
    size = max(16, _SCORES_AT_ONCE // n_items)
    return [np.arange(i, min(i + size, n_users)) for i in range(0, n_users, size)]


def _joined(lists: list[Shortlist]) -> Shortlist:
    """Stack shortlists of different widths."""
    width = max(s.gains.shape[1] for s in lists)

    def padded(a: FloatArray, value: float) -> FloatArray:
        pad = [(0, 0), (0, width - a.shape[1])] + [(0, 0)] * (a.ndim - 2)
        return np.pad(a, pad, constant_values=value)

    return Shortlist(
        np.concatenate([padded(s.scores, -1e9) for s in lists]),
        np.concatenate([padded(s.gains, 0.0) for s in lists]),
        np.concatenate([s.ideal for s in lists]),
        np.full(sum(len(s.ideal) for s in lists), 1.0 / sum(len(s.ideal) for s in lists)),
    )


def _ensemble(encoders: list[SetEncoder]) -> QueryEncoder:
    """Return the encoders' weights as NumPy arrays, side by side."""

    def numpy(tensor: Any) -> FloatArray:  # noqa: ANN401  (torch is not imported in this room's top)
        # rows in memory as a file holds them, or a loaded model would round differently
        return np.ascontiguousarray(tensor.detach().numpy(), np.float32)

    m, n_items = len(encoders), len(encoders[0].bias)
    events = np.concatenate([numpy(e.events) for e in encoders], axis=1)
    by_item = events.reshape(-1, n_items, events.shape[1]).swapaxes(0, 1)
    return QueryEncoder(
        events=by_item,
        user_features=np.concatenate(
            [numpy(e.user_features)[: e.n_features] for e in encoders], axis=1
        ),
        count_in=np.stack([numpy(e.count_in.weight.T) for e in encoders]),
        count_in_bias=np.stack([numpy(e.count_in.bias) for e in encoders]),
        count_out=np.stack([numpy(e.count_out.weight.T) for e in encoders]),
        count_out_bias=np.stack([numpy(e.count_out.bias) for e in encoders]),
        head=np.stack([numpy(e.head.weight.T) for e in encoders]),
        head_bias=np.stack([numpy(e.head.bias) for e in encoders]),
        items=(np.concatenate([numpy(e.items) for e in encoders], axis=1) / m).astype(np.float32),
        bias=np.mean([numpy(e.bias) for e in encoders], axis=0, dtype=np.float32),
    )


def _narrowed(
    encoder: QueryEncoder, likes: sp.csr_array, features: sp.csr_array | None, *, seed: int
) -> QueryEncoder:
    """Return an ensemble as wide as one of its members."""
    able = np.flatnonzero(np.diff(likes.indptr) >= 1)
    some = able[:: max(1, len(able) // _ASKED)]
    exams = draw_exams(likes, some, features, (0, 1, 3, 10, 20), seed, "narrowed")
    return encoder.narrowed(
        np.concatenate([encoder.queries(support) for _, support, _ in exams.values()])
    )


class _Steps:
    """Turns the steps of one fold after another into one progress bar."""

    def __init__(self, folds: int, progress: Progress | None) -> None:
        self.folds, self.progress = folds, progress

    def of(self, number: int) -> Callable[[int, int, float], None]:
        def report(done: int, total: int, loss: float) -> None:
            if self.progress is not None and (done == total or done % 5 == 0):
                text = f"meta-training {number + 1}/{self.folds}, loss {loss:.2f}"
                self.progress(number * total + done, self.folds * total, text)

        return report
