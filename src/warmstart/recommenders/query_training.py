"""Meta-training of a `QueryVectorScorer` on a dataset's users, under any learner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from warmstart.core.config import Config
from warmstart.core.rng import generator
from warmstart.core.types import IntArray, Progress
from warmstart.meta.episodes import Episodes
from warmstart.meta.learner import Learner, Problem, check_finite
from warmstart.meta.losses import likelihood
from warmstart.meta.outer import outer_loop
from warmstart.meta.ranking_policy import expected_ndcg
from warmstart.models.query_vector import QueryVectorScorer
from warmstart.recommenders.batches import ItemSample, over_catalogue, ranking_tasks
from warmstart.recommenders.checkpoint import Checkpoint
from warmstart.recommenders.exams import Exam, draw_exams

_EXAM_SHOTS = (1, 3, 10, 20)


class DrawsEpisodes(Protocol):
    """Cuts users into episodes; see `warmstart.meta.episodes.draw_episodes`."""

    def __call__(
        self,
        evidence: sp.csr_array,
        users: IntArray,
        rng: np.random.Generator,
        **drawing: Any,  # noqa: ANN401
    ) -> tuple[Episodes, IntArray | None]:
        """Return an episode of each user, in their order, and the kind of each."""


def train_queries(
    learner: Learner,
    evidence: sp.csr_array,
    features: sp.csr_array | None,
    config: Config,
    *,
    scorer: dict[str, Any],
    episodes: DrawsEpisodes,
    quality: Callable[[Mapping[str, Tensor], dict[int, Exam]], dict[str, float]],
    seed: int,
    name: str,
    name_of: Callable[[int], str],
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Mapping[str, Tensor], dict[str, float]]:
    """Meta-train and return the meta-parameters, and their quality on validation users.

    Args:
        learner: how to adapt.
        evidence: (users, items) signed evidence of the training users.
        features: (users, user features) or None.
        config: a `warmstart.recommenders.learned.LearnedConfig`.
        scorer: further settings of the scorer.
        episodes: draws what is practised on.
        quality: meta-parameters and exams of validation users → nDCG@10 by number of shots.
        seed: the same seed gives the same result.
        name: of the learner, for progress and checkpoints.
        name_of: user → what errors call them.
        progress: told how far training has come.
        checkpoint: where to keep the training, and to continue it from.

    Raises:
        DivergedError: an inner loop ran away.
    """
    c: Any = config
    rng = generator(seed, "learned", name)
    likes = evidence.copy()
    likes.data = (likes.data > 0).astype(np.float32)
    likes.eliminate_zeros()
    able = rng.permutation(np.flatnonzero(np.diff(likes.indptr) >= 2))
    n_held = min(int(c.validation_fraction * len(able)), 1_000)
    held, users = np.sort(able[:n_held]), np.sort(able[n_held:])
    share = np.asarray(likes.sum(axis=0)).ravel() + c.popularity_prior
    share = share / share.sum()
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**31)))
        model = QueryVectorScorer(
            torch.from_numpy(np.log(share).astype(np.float32)),
            n_features=0 if features is None else features.shape[1],
            **scorer,
        )
        softmax = likelihood(c.shrinkage)
        problem = Problem.of(model, softmax)
        meta = {n: nn.Parameter(p) for n, p in learner.init(problem).items()}
        exams = draw_exams(likes, held, features, _EXAM_SHOTS, seed, "learned")
        if not len(users):
            return meta, {}

        def step(rng: np.random.Generator, problem: Problem) -> float:
            model.train()
            whole = problem.judge is not None
            drawn = rng.choice(users, min(c.outer.batch_size, len(users)), replace=False)
            practice, kind = episodes(
                evidence,
                drawn,
                rng,
                max_shots=c.max_shots,
                few_shot_share=c.few_shot_share,
                most_shots=c.most_shots,
                dislike_share=c.dislike_share,
                features=features,
            )
            most = len(share) if whole else c.query_items
            tasks = ranking_tasks(practice, c.dislike, rng, most=most, kind=kind)
            values = {n: p.detach() for n, p in meta.items()}
            if len(share) > c.outer.sampled_items:
                sample = ItemSample.draw(tasks, share, c.outer.sampled_items // 2, rng)
                tasks = sample.tasks(tasks)
                if whole:
                    tasks = over_catalogue(tasks, len(sample.items))
                losses, found = learner.gradients(problem, sample.tables(values), tasks)
                gradients = sample.spread(found, values)
            else:
                if whole:
                    tasks = over_catalogue(tasks, len(share))
                losses, gradients = learner.gradients(problem, values, tasks)
            check_finite(losses, values, c.adapt, lambda task: f"of {name_of(int(drawn[task]))}")
            for parameter, gradient in gradients.items():
                meta[parameter].grad = gradient
            return float((tasks.weight * losses).sum())

        def validate() -> float:
            return float(np.mean(list(quality(meta, exams).values())))

        def on_step(done: int, total: int, loss: float) -> None:
            if progress is not None and (done == total or done % 5 == 0):
                progress(done, total, f"meta-training {name}, loss {loss:.2f}")

        stages = [(name, problem, c.outer)]
        if c.objective == "ndcg":
            judged = Problem.of(model, softmax, judge=expected_ndcg(c.policy))
            own = {"epochs": c.policy.epochs, "outer_lr": c.policy.outer_lr}
            stages.append((f"{name}-ndcg", judged, c.outer.model_copy(update=own)))
        for stage, by, outer in stages:
            outer_loop(
                meta,
                partial(step, problem=by),
                len(users),
                outer,
                rng=generator(seed, "episodes", stage),
                decayed=("items", "users", "events"),
                validate=validate if exams else None,
                on_step=on_step,
                resume=None if checkpoint is None else checkpoint.stored(stage),
                on_check=None if checkpoint is None else partial(checkpoint.store, stage),
            )
        return meta, quality(meta, exams)
